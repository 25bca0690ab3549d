// The page: takes pictures, shows what `centerx.js` finds on them.

import { load } from "./centerx.js";

const NAMES_SHOWN = 6;
const JOINT_SHOWN = 0.3; // least score of a joint that is drawn
const CAMERA_ERRORS = {
  NotAllowedError: "This page may not use the camera: allow it in the browser's settings of this page.",
  NotFoundError: "There is no camera on this device.",
  NotReadableError: "The camera is used by another program.",
};

const [stage, canvas, invitation, status, classes, file, camera, score, value, model] =
  ["stage", "canvas", "invitation", "status", "classes", "file", "camera", "score", "value", "model"].map((id) =>
    document.getElementById(id),
  );
const pen = canvas.getContext("2d");

let detector;
let shown = null; // { picture: ImageBitmap, found, milliseconds } on the canvas
let turn = 0; // whoever starts something new takes the next; older work then stops

start();

async function start() {
  try {
    if (typeof WebAssembly !== "object") throw new Error("this browser has no WebAssembly, or it is switched off");
    detector = await load();
  } catch (error) {
    tell(`The model cannot be loaded: ${error.message}.`, "error");
    return;
  }
  const names = detector.classNames;
  const rest = names.length - NAMES_SHOWN;
  model.textContent = `finds ${names.slice(0, NAMES_SHOWN).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
  file.disabled = camera.disabled = false;
  listen();
  window.centerx = detector; // for programs: await window.centerx.detect(picture), see centerx.js
  tell("Ready.");
}

function listen() {
  file.addEventListener("change", () => {
    if (file.files.length) showFile(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  });
  camera.addEventListener("click", () => (camera.ariaPressed === "true" ? stopCamera() : runCamera()));
  score.addEventListener("input", show);
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) showFile(event.clipboardData.files[0]);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  document.addEventListener("dragleave", () => stage.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    const [dropped] = event.dataTransfer.files;
    if (dropped) showFile(dropped);
    else tell("That was no file: save the picture first, then drop its file.", "error");
  });
  new ResizeObserver(draw).observe(stage);
}

async function showFile(blob) {
  stopCamera();
  const mine = ++turn;
  let picture;
  try {
    picture = await createImageBitmap(blob);
  } catch {
    tell(`${blob.name} is not a picture that this browser can read.`, "error");
    return;
  }
  if (mine !== turn) return;
  try {
    await findOn(picture, blob);
  } catch (error) {
    tell(`Nothing could be found on ${blob.name}: ${error.message}.`, "error");
  }
}

async function runCamera() {
  const mine = ++turn;
  markCamera(true);
  let stream;
  try {
    if (!navigator.mediaDevices) throw new Error("browsers lend the camera to pages of https or localhost only");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    if (mine === turn) stopCamera();
    tell(CAMERA_ERRORS[error.name] ?? `The camera cannot be used: ${error.message}.`, "error");
    return;
  }
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, srcObject: stream });
  try {
    await video.play();
    while (mine === turn && stream.active) {
      const picture = await createImageBitmap(video);
      if (mine === turn) await findOn(picture, picture);
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    tell(`The camera stopped: ${error.message}.`, "error");
  }
  for (const track of stream.getTracks()) track.stop();
  if (mine === turn) stopCamera();
}

function stopCamera() {
  turn++;
  markCamera(false);
}

function markCamera(on) {
  camera.ariaPressed = String(on);
  camera.textContent = on ? "Stop the camera" : "Camera";
}

async function findOn(picture, source) {
  const mine = turn;
  const begun = performance.now();
  const found = await detector.detect(source);
  const milliseconds = performance.now() - begun;
  if (mine !== turn) return;
  shown?.picture.close();
  shown = { picture, found, milliseconds };
  show();
}

function show() {
  value.textContent = Number(score.value).toFixed(2);
  if (shown === null) return;
  draw();
  const { picture, milliseconds } = shown;
  const count = enough().length;
  const objects = `${count} ${count === 1 ? "object" : "objects"}`;
  tell(`${objects}, ${Math.round(milliseconds)} ms, ${picture.width} × ${picture.height} pixels`);
  classes.replaceChildren(...counts());
}

/** What scores enough. */
function enough() {
  return shown.found.filter((each) => each.score >= Number(score.value));
}

/** Draw the picture and its boxes; lines and letters keep their size on the screen. */
function draw() {
  if (shown === null) return;
  const { picture } = shown;
  stage.classList.remove("empty");
  invitation.hidden = true;
  canvas.hidden = false;
  const wide = Math.min(stage.clientWidth, (0.66 * window.innerHeight * picture.width) / picture.height);
  canvas.style.width = `${wide}px`;
  canvas.width = Math.max(1, Math.round(wide * window.devicePixelRatio));
  canvas.height = Math.max(1, Math.round((canvas.width * picture.height) / picture.width));
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  pen.scale(canvas.width / picture.width, canvas.height / picture.height); // from here on in the picture's pixels
  drawBoxes(enough(), picture.width / wide);
}

/** `unit`: how many of the picture's pixels a pixel of the page is. */
function drawBoxes(found, unit) {
  const bestLast = [...found].reverse();
  for (const { label, box, point, corners } of bestLast) {
    const path = new Path2D();
    if (point) dot(path, point, 4 * unit);
    else polygon(path, corners ?? [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]]);
    ink(path, label, unit, Boolean(point));
  }
  for (const { label, keypoints } of bestLast.filter((each) => each.keypoints)) drawJoints(label, keypoints, unit);
  pen.font = `600 ${11 * unit}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  for (const { label, score, box, corners } of bestLast.filter((each) => each.box)) {
    const [x, y] = corners ? corners.reduce((top, each) => (each[1] < top[1] ? each : top)) : box;
    const text = `${label} ${score.toFixed(2)}`;
    const width = pen.measureText(text).width + 6 * unit;
    const height = 16 * unit;
    const left = Math.max(0, Math.min(x - unit, shown.picture.width - width));
    const top = y >= height ? y - height : Math.max(0, y);
    pen.fillStyle = colour(label);
    pen.fillRect(left, top, width, height);
    pen.fillStyle = "#fff";
    pen.fillText(text, left + 3 * unit, top + height / 2 + unit / 2);
  }
}

/** Lines between joints, and a dot at each, of those that score enough. */
function drawJoints(label, keypoints, unit) {
  const seen = (at) => keypoints[at][2] >= JOINT_SHOWN;
  const [limbs, joints] = [new Path2D(), new Path2D()];
  for (const pair of detector.joints.skeleton.filter((pair) => pair.every(seen))) {
    pair.forEach((at, end) => limbs[end ? "lineTo" : "moveTo"](keypoints[at][0], keypoints[at][1]));
  }
  for (const [x, y] of keypoints.filter((_, at) => seen(at))) dot(joints, [x, y], 3 * unit);
  ink(limbs, label, unit);
  ink(joints, label, unit, true);
}

function polygon(path, corners) {
  corners.forEach(([x, y]) => path.lineTo(x, y));
  path.closePath();
}

function dot(path, [x, y], radius) {
  path.moveTo(x + radius, y);
  path.arc(x, y, radius, 0, 2 * Math.PI);
}

/** Lines, or areas, in the colour of a class; with a pale rim, so that they are seen on dark pictures. */
function ink(path, label, unit, filled = false) {
  pen.lineJoin = pen.lineCap = "round";
  pen.lineWidth = (filled ? 2 : 4) * unit;
  pen.strokeStyle = "rgb(255 255 255 / 0.75)";
  pen.stroke(path);
  pen.lineWidth = 2 * unit;
  pen.strokeStyle = pen.fillStyle = colour(label);
  if (filled) pen.fill(path);
  else pen.stroke(path);
}

function counts() {
  const found = enough();
  return detector.classNames.flatMap((name) => {
    const count = found.filter(({ label }) => label === name).length;
    if (!count) return [];
    const item = document.createElement("li");
    item.textContent = `${name} ${count}`;
    item.style.setProperty("--colour", colour(name));
    return [item];
  });
}

/** A colour for each class: steps of hue that never come close to each other, all dark enough for white letters. */
function colour(label) {
  const hue = 0.72 + 0.61803398875 * detector.classNames.indexOf(label);
  return `oklch(0.53 0.18 ${360 * (hue % 1)})`;
}

function tell(text, kind = "") {
  status.textContent = text;
  status.className = kind;
}
