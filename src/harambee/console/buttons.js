// The buttons of a development network. `harambee up` gives the console's address a part behind the #, which no
// browser sends anywhere: where it listens, and the token that it wants to see.

import { made } from "./words.js";

const KEPT_AS = "harambee-control";
const ACTIONS = [
  ["kill", "Kill", "End its process at once, as kill -9 does", ["running", "paused"]],
  ["start", "Start", "Start it again; it reads what it missed", ["ended"]],
  ["pause", "Pause", "Stop its process where it is: it neither hears nor speaks, as if cut off", ["running"]],
  ["resume", "Resume", "Let its process go on", ["paused"]],
  ["damage", "Damage", "End it, flip a bit of its journal, and start it: it must mend that from the others", ["running"]],
];

export function findControl() {
  const found = /^#control=(\d{1,5})\.([\w-]{16,64})$/.exec(location.hash);
  if (found) {
    sessionStorage.setItem(KEPT_AS, JSON.stringify({ port: found[1], token: found[2] }));
    history.replaceState(null, "", "#/network");
  }
  const kept = sessionStorage.getItem(KEPT_AS);
  return kept ? new Control(JSON.parse(kept)) : null;
}

class Control {
  constructor({ port, token }) {
    this.address = `http://127.0.0.1:${port}/super-agents`;
    this.headers = { authorization: `Bearer ${token}` };
    this.states = new Map();
  }

  async ask(path, method) {
    const answer = await fetch(this.address + path, { method, headers: this.headers, signal: AbortSignal.timeout(20000) });
    const document = await answer.json();
    if (!answer.ok) throw new Error(document.detail);
    this.states = new Map(document.map((one) => [one.name, one]));
  }

  // Whether there is anybody who takes what the buttons say.
  async look() {
    try {
      await this.ask("", "GET");
      return true;
    } catch {
      this.states = new Map();
      return false;
    }
  }

  press(name, action) {
    return this.ask(`/${encodeURIComponent(name)}/${action}`, "POST");
  }

  buttonsFor(name, tell) {
    return ACTIONS.map(([action, word, why]) => {
      const button = made("button", { type: "button", title: why, "aria-label": `${word} ${name}` }, word);
      button.dataset.action = action;
      if (action === "kill" || action === "damage") button.className = "harm";
      button.addEventListener("click", async () => {
        tell(`${word} ${name} …`);
        try {
          await this.press(name, action);
          tell(`${word} ${name}: done.`);
        } catch (error) {
          tell(error.message);
        }
      });
      return button;
    });
  }

  // Show which of a row's buttons can be pressed now.
  show(buttons, name) {
    const state = this.states.get(name)?.state;
    for (const button of buttons) {
      const [, , , allowed] = ACTIONS.find(([action]) => action === button.dataset.action);
      const isHidden = !allowed.includes(state) && !["kill", "damage"].includes(button.dataset.action);
      button.disabled = !allowed.includes(state);
      button.hidden = isHidden;
    }
  }
}
