"""irisab serves versions of a scikit-learn model from one host and says which one is better.

Start reading at `serving/service.py`, one prediction from bytes to answer; `http/app.py` is HTTP
around it, `serving/snapshot.py` is everything a reload replaces. A row is checked in
`serving/payload.py`, and never rounded: that scikit-learn rounds it to float32 is in the cuts of
`model/nodes.py`. A label is counted in `store/evidence.py`. A refused reload is told by
`Run._reload` of `http/server.py`: all of it to the journal, and to whoever typed `reload`
(`http/handshake.py`; `__main__` prints it), to the events and `/health` only where
(`config.refusal`). docs/architecture.md is the map.

Ten words:

version     a name under which models are served, such as v1
bundle      one trained model of a version on disk: manifest, plain arrays, pickle (`model/bundle`)
snapshot    configuration, bundles and split that serve together (`serving/snapshot`)
revision    what the history remembers of a snapshot; its id marks every row (`store/revision`)
control     the version that the others are compared with
challenger  any other version that is served
shadow      scoring by the versions that did not answer, so that all can be compared
history     the SQLite file of predictions, labels and evidence (`store/history`)
evidence    who was right where two models disagreed; counted with the label, never pruned
exam        the labelled rows that no version learns from
"""

from __future__ import annotations

__version__ = "0.2.0"
