// Has a part of the page drawn anew when the service says something else than what it shows.
// All parts of a tab look together, at stamps that the page's server gives: see latest.py.

// Milliseconds between two looks: a change on the host is seen while the hand is still on the
// keyboard.
const EVERY = 2000;
// Until a redraw that did not arrive is asked for again: Streamlit can lose the end of a run.
const PATIENCE = 10000;
// A redraw is followed by a rest this many times as long, so that many tabs, or many features,
// leave the host its time.
const REST = 4;

const parts = new Map();
let looking = false;

async function look() {
  looking = parts.size > 0;
  if (!looking) return;
  try {
    const answer = await fetch("/stamps", { cache: "no-store" });
    if (answer.ok) redraw(await answer.json(), performance.now());
  } catch {
    // The page's own server is away; Streamlit says so.
  }
  setTimeout(look, EVERY);
}

function redraw(stamps, now) {
  for (const part of parts.values()) {
    const moved = Object.keys(part.shown).some(
      (name) => part.shown[name] !== (stamps[name] ?? null),
    );
    if (moved && now >= part.from) {
      part.asked = now;
      part.from = now + PATIENCE;
      part.ask();
    }
  }
}

// Called for a part when it comes, whenever it was drawn anew, and now and then in between.
export default function ({ key, data, setTriggerValue }) {
  const now = performance.now();
  const part = parts.get(key) ?? { asked: now };
  const text = JSON.stringify(data.shown);
  if (part.text !== text) {
    part.text = text;
    part.shown = data.shown;
    part.from = now + REST * (now - part.asked);
  }
  part.ask = () => setTriggerValue("moved", true);
  parts.set(key, part);
  if (!looking) {
    looking = true;
    setTimeout(look, EVERY);
  }
  return () => parts.delete(key);
}
