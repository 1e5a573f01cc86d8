"use strict";
// The player's page: shows what the server tells, and sends what keys, gamepad and buttons ask for, as a whole, several times a second.

const BEAT_MS = 50, AGAIN_MS = 1000, DEAD_ZONE = 0.12;
const byId = (id) => document.getElementById(id);
const KEYS = {  // place on a US keyboard -> axis and sense: forward, left, up, roll to the right, tilt forward, turn to the left
  KeyW: [0, 1], ArrowUp: [0, 1], KeyS: [0, -1], ArrowDown: [0, -1], KeyA: [1, 1], ArrowLeft: [1, 1], KeyD: [1, -1], ArrowRight: [1, -1],
  KeyR: [2, 1], KeyF: [2, -1], KeyL: [3, 1], KeyJ: [3, -1], KeyI: [4, 1], KeyK: [4, -1], KeyQ: [5, 1], KeyE: [5, -1],
};
const ORDERS = {  // what a button says, and the key that does the same
  start: ["Start", "Enter"], resume: ["Resume", "Enter"], save: ["Save", "Enter"], pause: ["Pause", "P"], again: ["Start over", "Backspace"],
  another: ["Another", "N"], give_up: ["Give up", "G"], discard: ["Discard", "Delete"], finish: ["Finish the dataset", ""],
};
const ORDER_KEYS = {Enter: ["start", "resume", "save"], NumpadEnter: ["start", "resume", "save"], KeyP: ["pause", "resume"], Backspace: ["again"],
  KeyN: ["another"], KeyG: ["give_up"], Delete: ["discard"]};
const PADS = {
  "pad-move": [["↺", "turn left", "Q", 5, 1], ["▲", "forward", "W", 0, 1], ["↻", "turn right", "E", 5, -1],
    ["◀", "left", "A", 1, 1], ["▼", "back", "S", 0, -1], ["▶", "right", "D", 1, -1]],
  "pad-turn": [["⤒", "up", "R", 2, 1], ["⤵", "tilt forward", "I", 4, 1], ["⟲", "roll left", "J", 3, -1],
    ["⤓", "down", "F", 2, -1], ["⤴", "tilt back", "K", 4, -1], ["⟳", "roll right", "L", 3, 1]],
};
const WORDS = {hand: "Hand", left: "Left hand", right: "Right hand", both: "Both", body: "Body"};
const WHY = {asked: "You paused.", away: "This page had not answered for a while."};

let socket = null, state = null, isOver = false;
let limb = "", closed = [], isFast = false, mainCamera = 0, shownOf = -1;
let seen = 0, pictures = [], names = [], fixed = [];
const keys = new Set(), held = new Map();
let shift = false, padShift = false, padWas = [], lastDevice = "none";

// ------------------------------------------------------------------------------------------------------------------------ the connection
function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => {
    if (typeof event.data !== "string") return picture(new Uint8Array(event.data));
    const told = JSON.parse(event.data);
    if (told.type === "state") return take(told);
    isOver = true;
    phase(told.type === "taken" ? "taken" : "over", "✋", told.type === "taken" ? "Somebody else is playing" : "Somebody else plays now",
      "One person plays at a time.", "");
    orders([["reload", "Try again", ""]]);
  };
  socket.onclose = () => {
    if (isOver) return;
    const wait = state && (state.phase === "playing" || state.phase === "paused") ? `The episode waits ${state.wait_s} s for this page.` : "";
    phase("lost", "⚠", "No connection", `${wait} Trying again …`, "");
    orders([]);
    setTimeout(connect, AGAIN_MS);
  };
}

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function order(name) {
  if (name === "reload") return location.reload();
  if (!state || !state.can.includes(name)) return;
  send({type: "order", order: name, episode: state.episode});
  if (["start", "resume", "again"].includes(name)) byId("stage").focus({preventScroll: true});
}

// --------------------------------------------------------------------------------------------------------------------------- what is told
function take(told) {
  const isNew = !state || told.episode !== state.episode || told.limbs.join() !== state.limbs.join();
  const had = state;
  state = told;
  if (isNew) {
    closed = told.hands.map(() => false);
    if (!told.limbs.includes(limb)) limb = told.limbs[0];
    names = told.cameras;
    fixed = told.fixed;
    if (shownOf !== names.join()) cameras();
    settings();
  }
  if (!had || had.phase !== told.phase || had.can.join() !== told.can.join() || isNew) orders(told.can.map((o) => [o, ...ORDERS[o]]));
  const time = (steps) => { const s = Math.max(0, Math.round(steps / told.rate_hz)); return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`; };
  const step = told.step || 0;
  const banner = {
    ready: ["○", "Not recording", "Press Start when you are ready."],
    playing: ["●", "RECORDING", time(step)],
    paused: ["❚❚", "PAUSED, not recording", WHY[told.why] || ""],
    ended: told.outcome === "success" ? ["✔", "Done", "Save this episode?"] : ["✘", told.can.includes("save") ? "Failed" : "Not done",
      told.can.includes("save") ? "Save it as a failure?" : "It is not kept."],
    saving: ["…", "Saving", "Every camera is rendered once more."],
    finishing: ["…", "Finishing", told.out],
    finished: ["✔", "Finished", `${told.saved} in ${told.out}. You can close this page.`],
  }[told.phase];
  phase(told.phase, ...banner, told.outcome || "");
  if (told.phase === "finished") isOver = true;
  byId("sentence").textContent = told.instruction;
  byId("about").textContent = `${told.task}, ${told.robot}${told.base === "fixed" ? "" : ` (${told.base})`}, seed ${told.seed}`;
  byId("saved").textContent = `${told.saved} saved in ${told.out}`;
  if (told.step !== undefined || told.phase === "ready") {
    byId("progress").value = step / told.horizon_steps;
    byId("step").textContent = `${step} / ${told.horizon_steps}`;
    byId("left").textContent = time(told.horizon_steps - step);
    byId("goal").textContent = told.goal_met ? `${told.goal_met.filter(Boolean).length} of ${told.goal_met.length} met` : "–";
    const slow = told.pace_hz && told.pace_hz < 0.9 * told.rate_hz;
    byId("pace").title = slow ? "This machine is too slow: the robot moves slower than in real time." : "";
    byId("pace").textContent = told.pace_hz ? `${slow ? "⚠ " : ""}${told.pace_hz.toFixed(0)} of ${told.rate_hz} Hz` : `${told.rate_hz} Hz`;
  }
  const note = [told.how, told.note].filter(Boolean).join(" ");
  byId("note").hidden = !note;
  if (byId("note").textContent !== note) byId("note").textContent = note;
}

function phase(name, mark, word, more, outcome) {
  document.body.dataset.phase = name;
  document.body.dataset.outcome = outcome;
  byId("mark").textContent = mark;
  if (byId("word").textContent !== word) byId("word").textContent = word;
  if (byId("more").textContent !== more) byId("more").textContent = more;
  document.title = `${mark} ${word} – vlagym play`;
}

function orders(rows) {
  const had = document.activeElement && document.activeElement.dataset.order;
  const entered = !rows.some(([name]) => ORDER_KEYS.Enter.includes(name)) && state && state.phase === "ended";
  byId("orders").replaceChildren(...rows.map(([name, words, usual], i) => {
    const key = name === "again" && entered ? "Enter" : usual;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.order = name;
    button.className = i === 0 && name !== "pause" ? "first" : "";
    button.append(words);
    if (key) button.append(" ", kbd(key));
    button.onclick = () => {
      if (name !== "finish" || button.dataset.sure !== undefined) return order(name);
      button.dataset.sure = "";  // the one order that cannot be taken back
      button.textContent = "Really finish?";
      button.className = "first";
    };
    return button;
  }));
  if (had && document.activeElement === document.body) (byId("orders").querySelector(`[data-order="${had}"]`) || byId("stage")).focus({preventScroll: true});
}

function kbd(text) {
  const key = document.createElement("kbd");
  key.textContent = text;
  return key;
}

// --------------------------------------------------------------------------------------------------------------------------- the pictures
function cameras() {
  shownOf = names.join();
  mainCamera = Math.min(mainCamera, names.length - 1);
  byId("large-name").textContent = names[mainCamera];
  byId("large").setAttribute("aria-label", `What the camera ${names[mainCamera]} sees`);
  byId("small").replaceChildren(...names.map((name, i) => {
    const button = document.createElement("button"), canvas = document.createElement("canvas"), tag = document.createElement("span");
    button.type = "button";
    button.hidden = i === mainCamera;
    button.setAttribute("aria-label", `Make ${name} the large picture`);
    tag.className = "tag";
    tag.textContent = name;
    canvas.dataset.camera = i;
    button.append(canvas, tag);
    button.onclick = () => { mainCamera = i; cameras(); pictures.forEach((bitmap, j) => bitmap && draw(j)); byId("stage").focus({preventScroll: true}); };
    return button;
  }));
  byId("frame").querySelector("[value=picture]").textContent = fixed.includes(names[mainCamera]) ? "as in the large picture" : "as in the large picture (moves with the robot)";
}

async function picture(data) {
  const index = data[0], number = new DataView(data.buffer).getUint32(1);
  const bitmap = await createImageBitmap(new Blob([data.subarray(5)], {type: "image/jpeg"}));
  if (pictures[index]) pictures[index].close();
  pictures[index] = bitmap;
  draw(index);
  seen = Math.max(seen, number);
}

function draw(index) {
  const canvas = index === mainCamera ? byId("large") : byId("small").querySelector(`[data-camera="${index}"]`), bitmap = pictures[index];
  if (!canvas) return;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) { canvas.width = bitmap.width; canvas.height = bitmap.height; }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

// ------------------------------------------------------------------------------------------------------------------------------ the input
function settings() {
  const hands = state.limbs.length > 1;
  byId("limbs").hidden = !hands;
  byId("limbs").replaceChildren(...state.limbs.map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = WORDS[name];
    button.setAttribute("aria-pressed", String(name === limb));
    button.onclick = () => { limb = name; settings(); beat(); };
    return button;
  }));
  const mine = handsOf(limb), isClosed = mine.length > 0 && mine.every((i) => closed[i]);
  const told = limb === "body" ? "Hands stay as they are" : `${mine.length > 1 ? "Grippers" : "Gripper"}: ${isClosed ? "closed" : "open"}`;
  fill(byId("gripper"), told, "Space", isClosed);
  byId("gripper").disabled = limb === "body";
  const [slow, fast] = state.speeds;
  fill(byId("speed"), `${isFast ? `Fast: ${fast}` : `Slow: ${slow}`} m/s`, "C", isFast);
  const words = {both: {5: ["apart", "together"]}, body: {2: ["stand up", "crouch"], 4: ["lean forward", "lean back"], 3: ["", ""]}}[limb] || {};
  document.querySelectorAll(".pad button").forEach((button) => {
    const own = words[button.dataset.axis];
    const label = own ? own[button.dataset.sense === "1" ? 0 : 1] : button.dataset.label;
    button.disabled = label === "";
    button.querySelector(".word").textContent = label || "–";
    button.setAttribute("aria-label", label || "nothing");
  });
}

function fill(button, words, key, pressed) {
  const text = document.createElement("span");
  text.textContent = words;
  button.replaceChildren(text, kbd(key));
  button.setAttribute("aria-pressed", String(pressed));
}

const handsOf = (name) => state.hands.flatMap((side, i) => name === "hand" || name === "both" || name === side ? [i] : []);

function grip() {
  if (!state) return;
  const mine = handsOf(limb), all = mine.every((i) => closed[i]);
  mine.forEach((i) => { closed[i] = !all; });
  settings();
  beat();
}
function nextLimb() {
  if (!state) return;
  limb = state.limbs[(state.limbs.indexOf(limb) + 1) % state.limbs.length];
  settings();
  beat();
}
function otherSpeed() {
  isFast = !isFast;
  if (state) settings();
  beat();
}

function gamepad() {
  const pad = [...(navigator.getGamepads ? navigator.getGamepads() : [])].find((p) => p && p.connected);
  if (!pad) { padWas = []; padShift = false; return null; }
  const told = `Gamepad: ${pad.id}${pad.mapping === "standard" ? "" : " (unknown layout: sticks and buttons may be elsewhere)"}`;
  if (byId("gamepad").textContent !== told) byId("gamepad").textContent = told;
  const down = pad.buttons.map((b) => b.pressed), hit = (i) => down[i] && !padWas[i];
  if (hit(0)) grip();
  if (hit(1)) nextLimb();
  if (hit(2)) otherSpeed();
  if (hit(3)) order("again");
  if (hit(4)) order(state && state.can.includes("pause") ? "pause" : "resume");
  if (hit(8)) order(state && state.can.includes("discard") ? "discard" : "give_up");
  if (hit(9)) order(ORDER_KEYS.Enter.find((o) => state && state.can.includes(o)) || (state && state.phase === "ended" ? "again" : ""));
  padShift = Boolean(down[5]);
  padWas = down;
  const stick = (i) => { const v = pad.axes[i] || 0; return Math.abs(v) < DEAD_ZONE ? 0 : Math.sign(v) * (Math.abs(v) - DEAD_ZONE) / (1 - DEAD_ZONE); };
  const cross = (a, b) => (down[a] ? 1 : 0) - (down[b] ? 1 : 0);
  return [-stick(1), -stick(0), -stick(3), cross(15, 14), cross(12, 13), -stick(2)];
}

function beat() {
  const axes = [0, 0, 0, 0, 0, 0];
  let device = "none";
  const add = (rows, name) => rows.forEach(([axis, sense]) => { axes[axis] += sense; device = name; });
  add([...keys].map((code) => KEYS[code]), "keyboard");
  add([...held.values()], "buttons");
  const pad = gamepad();
  if (pad && pad.some(Boolean)) { pad.forEach((value, i) => { axes[i] += value; }); device = "gamepad"; }
  lastDevice = device;
  if (!state) return;
  send({
    type: "input", episode: state.episode, axes: axes.map((a) => Math.max(-1, Math.min(1, a))), limb, closed, fast: isFast !== (shift || padShift),
    view: byId("frame").value === "picture" ? names[mainCamera] : "", device, large: mainCamera, seen,
  });
}

function release() {
  keys.clear();
  held.forEach((_, button) => delete button.dataset.down);
  held.clear();
  shift = false;
  beat();
}

const isOwn = (target) => target.closest && target.closest("button, select, summary, a");
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  shift = event.shiftKey;
  const own = isOwn(event.target), isPress = event.code === "Space" || event.code === "Enter" || event.code === "NumpadEnter";
  if (own && (isPress || own.tagName === "SELECT")) return;  // what has the focus takes it
  if (KEYS[event.code]) {
    event.preventDefault();
    if (!event.repeat) { keys.add(event.code); mark(event.code, true); beat(); }
  } else if (ORDER_KEYS[event.code]) {
    event.preventDefault();
    let name = ORDER_KEYS[event.code].find((o) => state && state.can.includes(o));
    if (!name && isPress && state && state.phase === "ended") name = "again";
    if (name && !event.repeat) order(name);
  } else if (event.code === "Space") {
    event.preventDefault();
    if (!event.repeat) grip();
  } else if (event.code === "KeyH" && !event.repeat) nextLimb();
  else if (event.code === "KeyC" && !event.repeat) otherSpeed();
});
addEventListener("keyup", (event) => {
  shift = event.shiftKey;
  if (keys.delete(event.code)) { mark(event.code, false); beat(); }
});
addEventListener("blur", release);
document.addEventListener("visibilitychange", () => { if (document.hidden) { release(); order("pause"); } });
addEventListener("pagehide", release);

function mark(code, isDown) {
  const [axis, sense] = KEYS[code];
  document.querySelectorAll(`.pad button[data-axis="${axis}"][data-sense="${sense}"]`).forEach((b) => { if (isDown) b.dataset.down = ""; else delete b.dataset.down; });
}

for (const [id, rows] of Object.entries(PADS)) {
  byId(id).replaceChildren(...rows.map(([sign, label, key, axis, sense]) => {
    const button = document.createElement("button"), glyph = document.createElement("span"), word = document.createElement("span");
    button.type = "button";
    Object.assign(button.dataset, {axis, sense, label});
    glyph.textContent = sign;
    glyph.setAttribute("aria-hidden", "true");
    word.textContent = label;
    word.className = "word";
    button.setAttribute("aria-label", label);
    button.append(glyph, word, kbd(key));
    const press = () => { held.set(button, [axis, sense]); button.dataset.down = ""; beat(); };
    const lift = () => { if (held.delete(button)) { delete button.dataset.down; beat(); } };
    button.onpointerdown = (event) => { button.setPointerCapture(event.pointerId); press(); };
    button.onpointerup = button.onpointercancel = button.onlostpointercapture = lift;
    button.oncontextmenu = (event) => event.preventDefault();
    let isByKey = false;
    button.onkeydown = (event) => {
      if (event.code !== "Space" && event.code !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) { isByKey = true; press(); }
    };
    button.onkeyup = (event) => { if (event.code === "Space" || event.code === "Enter") lift(); };
    button.onblur = () => { if (isByKey) lift(); isByKey = false; };  // a finger may stay on it while the focus goes elsewhere
    return button;
  }));
}
byId("gripper").onclick = grip;
byId("speed").onclick = otherSpeed;
byId("frame").onchange = beat;
byId("help").open = matchMedia("(min-width: 60.01rem)").matches;
setInterval(beat, BEAT_MS);
connect();
