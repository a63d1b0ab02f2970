"""irisab serves versions of a scikit-learn model from one host and says which one is better.

Start reading at `serving/service.py`, one prediction from bytes to answer; `http/app.py` is HTTP
around it, `serving/snapshot.py` is everything a reload replaces.
"""

from __future__ import annotations

__version__ = "0.1.0"
