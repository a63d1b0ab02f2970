// Has a part of the page drawn anew when the service says something else than what it shows.
// All parts of a tab look together, at stamps that the page's server gives: see latest.py.

// Milliseconds between two looks: a change on the host is seen while the hand is still on the
// keyboard.
const EVERY = 2000;
// Until a redraw that did not arrive is asked for again: Streamlit can lose the end of a run.
const PATIENCE = 10000;
// A redraw, here and in the browser, is followed by a rest this many times as long, so that many
// tabs, or many features, leave both their time.
const REST = 2;
// Streamlit sends what happens in one moment for one part only. A redraw asked for in the moment
// of a click would take its place, so none is where a hand was at the page just before.
const HANDS_OFF = 1000;

const parts = new Map();
let looking = false;
let touched = -Infinity;

for (const kind of ["pointerdown", "keydown"])
  addEventListener(kind, () => (touched = performance.now()), { capture: true, passive: true });

async function look() {
  looking = parts.size > 0;
  if (!looking) return;
  try {
    // What takes the service longer it tells only those who show it.
    const shown = [...parts.values()].flatMap((part) => Object.keys(part.shown));
    const also = new URLSearchParams(
      shown.filter((name) => name.includes("?")).map((name) => ["also", name]),
    );
    const answer = await fetch(also.size ? `/stamps?${also}` : "/stamps", { cache: "no-store" });
    if (answer.ok) await redraw(await answer.json());
  } catch {
    // The page's own server is away; Streamlit says so.
  }
  setTimeout(look, EVERY);
}

async function redraw(stamps) {
  for (const part of [...parts.values()]) {
    const now = performance.now();
    if (now - touched < HANDS_OFF) return;
    if (now < part.from || !moved(part.shown, stamps)) continue;
    part.asked = now;
    part.from = now + PATIENCE;
    part.ask();
    await new Promise((sent) => setTimeout(sent)); // one part in one moment
  }
}

function moved(shown, stamps) {
  return Object.keys(shown).some((name) => shown[name] !== (stamps[name] ?? null));
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
