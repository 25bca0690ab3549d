// Pictures in, boxes out: all that a page of your own needs, with the files beside it.
//
//     import { load } from "./centerx.js";
//     const detector = await load();
//     for (const { label, score, box } of await detector.detect(picture)) ...

import * as ort from "./ort.wasm.bundle.min.mjs";

const CELL = 4; // pixels of the input: so far beside its picture a centre may be found
ort.env.wasm.numThreads = 1; // more would need the headers COOP and COEP, which plain file servers do not send

/** Open `model.onnx` and `model.json` of a folder, of this one without an argument. */
export async function load(folder = new URL(".", import.meta.url)) {
  const [facts, model] = await Promise.all(
    ["model.json", "model.onnx"].map(async (name) => {
      const answer = await fetch(new URL(name, folder));
      if (!answer.ok) throw new Error(`${name}: the server answers ${answer.status} ${answer.statusText}`);
      return name.endsWith(".json") ? answer.json() : answer.arrayBuffer();
    }),
  );
  return new Detector(await ort.InferenceSession.create(model, { executionProviders: ["wasm"] }), facts);
}

class Detector {
  /** `facts`: what model.json says: class_names, input_size (height, width), letterbox, joints of poses. */
  constructor(session, facts) {
    this.session = session;
    this.classNames = facts.class_names;
    this.inputHW = facts.input_size;
    this.padValue = facts.letterbox.pad_value;
    this.joints = facts.joints ?? { names: [], skeleton: [] };
    this.idle = Promise.resolve();
  }

  /**
   * Find the objects of one picture: a file (Blob), ImageBitmap, ImageData, or an element with a picture in it.
   * Gives [{ label, score, box: [x1, y1, x2, y2] }], best first, in pixels of the picture as it is shown (EXIF
   * applied); of a model of points `point: [x, y]` in place of the box; with corners `corners: [[x, y], ...]` as well,
   * of rotated boxes `angle` in degrees, and of poses `keypoints: [[x, y, score], ...]`, in the order of
   * `joints.names`. Rejects where the browser cannot read the picture.
   */
  async detect(picture) {
    const pixels = await readPixels(picture);
    const [height, width] = this.inputHW;
    const { data, scale } = letterbox(pixels, height, width, this.padValue);
    const found = await this.run(new ort.Tensor("uint8", data, [1, 3, height, width]));
    const [key, values, length] = found.points ? ["point", found.points, 2] : ["box", found.boxes, 4];
    const limit = (side) => (side % 2 ? pixels.height : pixels.width);
    return Array.from(found.scores.data, (score, k) => ({
      label: this.classNames[Number(found.labels.data[k])],
      score,
      [key]: Array.from(values.data.subarray(length * k, length * (k + 1)), (value) => value / scale),
      ...(found.corners && { corners: pairs(found.corners.data.subarray(8 * k, 8 * (k + 1)), scale) }),
      ...(found.angles && { angle: found.angles.data[k] }),
      ...(found.keypoints && { keypoints: this.keypoints(found, k, scale) }),
    }))
      .filter(({ score, point }) => score > 0 && (!point || point.every((value, side) => value <= limit(side) + CELL / scale)))
      .map((each) => ({ ...each, [key]: each[key].map((value, side) => Math.min(value, limit(side))) }))
      .filter(({ box }) => !box || (box[0] < box[2] && box[1] < box[3])); // beside the picture a box has no area in it
  }

  /** Joints of the k-th object as [x, y, score]. */
  keypoints({ keypoints, keypoint_scores: scores }, k, scale) {
    const count = this.joints.names.length;
    const places = pairs(keypoints.data.subarray(2 * count * k, 2 * count * (k + 1)), scale);
    return places.map((place, at) => [...place, scores.data[count * k + at]]);
  }

  /** One picture at a time: the session does not take a second before it has answered. */
  run(images) {
    const answer = this.idle.then(() => this.session.run({ images }));
    this.idle = answer.catch(() => {});
    return answer;
  }
}

/** Positions in pixels of the input as [x, y] in pixels of the picture. */
function pairs(values, scale) {
  return Array.from({ length: values.length / 2 }, (_, at) => [values[2 * at] / scale, values[2 * at + 1] / scale]);
}

/** A picture as ImageData, upright, its colours as stored. */
async function readPixels(picture) {
  const bitmap = await createImageBitmap(picture, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/**
 * Place a picture as in training: scaled to fit, in the top-left corner, the rest grey.
 * Takes ImageData; gives the input's planes red, green and blue, and the scale.
 */
export function letterbox({ data, width: sourceWidth, height: sourceHeight }, height, width, padValue) {
  const scale = Math.min(height / sourceHeight, width / sourceWidth);
  const factor = Math.min(Math.floor(1 / scale + 1e-6), sourceHeight, sourceWidth); // rounding must not make 8 into 7
  const [rows, columns] = [sourceHeight, sourceWidth].map((side) => (factor < 2 ? side : Math.floor(side / factor)));
  const stride = 4 * (columns + 2);
  const framed = new Uint8ClampedArray(stride * (rows + 2)).fill(padValue); // the picture with one grey pixel around it
  for (let y = 0; factor < 2 && y < rows; y++) {
    framed.set(data.subarray(4 * columns * y, 4 * columns * (y + 1)), stride * (y + 1) + 4);
  }
  if (factor >= 2) average(data, sourceWidth, sourceHeight, framed, columns, rows);

  const planes = new Uint8Array(3 * height * width);
  const rounded = new Uint8ClampedArray(planes.buffer); // rounds what is written
  const across = taps(width, (scale * sourceWidth) / columns, columns);
  const down = taps(height, (scale * sourceHeight) / rows, rows);
  for (let y = 0, to = 0; y < height; y++) {
    const upper = stride * down.first[y];
    const lower = stride * down.second[y];
    const v = down.share[y];
    for (let x = 0; x < width; x++, to++) {
      const left = 4 * across.first[x];
      const right = 4 * across.second[x];
      const u = across.share[x];
      for (let channel = 0, plane = to; channel < 3; channel++, plane += height * width) {
        const above = framed[upper + left + channel] * (1 - u) + framed[upper + right + channel] * u;
        const below = framed[lower + left + channel] * (1 - u) + framed[lower + right + channel] * u;
        rounded[plane] = above * (1 - v) + below * v;
      }
    }
  }
  return { data: planes, scale };
}

/** For each of `length` pixels: which two of `from` framed ones lie around its centre, and the share of the second. */
function taps(length, scale, from) {
  const [first, second, share] = [new Int32Array(length), new Int32Array(length), new Float64Array(length)];
  for (let k = 0; k < length; k++) {
    const at = (k + 0.5) / scale - 0.5;
    const low = Math.floor(at);
    first[k] = Math.min(Math.max(low, -1), from) + 1;
    second[k] = Math.min(Math.max(low + 1, -1), from) + 1;
    share[k] = at - low;
  }
  return { first, second, share };
}

/**
 * Shrink RGBA pixels into the inside of `framed` (columns x rows and one more on each side) by area averages, rounded
 * as OpenCV does: halves up where four pixels become one, else to the even neighbour.
 */
function average(data, width, height, framed, columns, rows) {
  const halves = width === 2 * columns && height === 2 * rows ? 0.1 : 0;
  const part = Math.fround((columns / width) * (rows / height));
  const across = spans(width, columns);
  const line = new Float32Array(4 * width);
  let to = 4 * (columns + 2);
  for (const { first, shares } of spans(height, rows)) {
    line.fill(0);
    shares.forEach((share, k) => {
      for (let x = 0, from = 4 * width * (first + k); x < line.length; x++, from++) line[x] += share * data[from];
    });
    to += 4;
    for (const { first, shares } of across) {
      for (let channel = 0; channel < 4; channel++, to++) {
        let sum = 0;
        for (let k = 0; k < shares.length; k++) sum += shares[k] * line[4 * (first + k) + channel];
        framed[to] = Math.fround(sum * part) + halves;
      }
    }
    to += 4;
  }
}

/** For each of `to` pixels: the first of `from` that it covers, and how much of each that it covers. */
function spans(from, to) {
  return Array.from({ length: to }, (_, k) => {
    const [start, end] = [(k * from) / to, ((k + 1) * from) / to];
    const first = Math.floor(start);
    const covered = { length: Math.ceil(end) - first };
    return { first, shares: Array.from(covered, (_, j) => Math.min(end, first + j + 1) - Math.max(start, first + j)) };
  });
}
