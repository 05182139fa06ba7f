// One photo, one method, one block, one head; all of it can be named in the address: #photo=0&method=attention&layer=1&head=0
"use strict";
const HEAT = [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164]];
const at = name => document.getElementById(name);
const canvas = at("view"), pen = canvas.getContext("2d", { willReadFrequently: true });
const state = { photo: 0, method: "attention", layer: -1, head: -1, class: 0, strength: 75 };
let picture = null;

function numbers(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Uint16Array(bytes.buffer);
}

// the map that is asked for: values in 0 .. 1 between `low` and `high`, and what it is called
function chosen() {
  const photo = LOOKED[state.photo], count = photo.grid[0] * photo.grid[1], heads = photo.heads;
  const layer = Math.min(state.layer < 0 ? photo.layers - 1 : state.layer, photo.layers - 1);
  const head = Math.min(state.head, heads - 1);
  if (state.method === "attention") {
    const number = layer * (heads + 1) + (head < 0 ? heads : head);
    return { ...part(photo.attention, number, count), percent: true,
      name: `block ${layer}, ${head < 0 ? "mean of its heads" : `head ${head}`}` };
  }
  if (state.method === "rollout") {
    return { ...part(photo.rollout, layer, count), percent: true, name: `rolled out through blocks 0 to ${layer}` };
  }
  const number = Math.min(state.class, photo.told.length - 1);
  return { ...part(photo.relevance, number, count), percent: false, name: `what made it say ${photo.told[number]}` };
}

function part(maps, number, count) {
  return { values: numbers(maps.values).subarray(number * count, (number + 1) * count),
    low: maps.low[number], high: maps.high[number] };
}

const clamp = (value, most) => Math.max(0, Math.min(most, value));

// bilinear between the centres of tokens, level beyond the outermost
function between(values, rows, columns, y, x) {
  y = clamp(y * rows - 0.5, rows - 1); x = clamp(x * columns - 0.5, columns - 1);
  const top = Math.floor(y), left = Math.floor(x), below = Math.min(top + 1, rows - 1), right = Math.min(left + 1, columns - 1);
  const down = y - top, across = x - left;
  return ((values[top * columns + left] * (1 - across) + values[top * columns + right] * across) * (1 - down)
    + (values[below * columns + left] * (1 - across) + values[below * columns + right] * across) * down) / 65535;
}

// 256 colours from dark to bright
const SHADES = Array.from({ length: 256 }, (_, level) => {
  const place = level / 255 * (HEAT.length - 1), from = Math.min(Math.floor(place), HEAT.length - 2), share = place - from;
  return HEAT[from].map((value, channel) => value + share * (HEAT[from + 1][channel] - value));
});
const DARK = [0, 0, 0], OTHERS = [154, 154, 154];

function draw() {
  const photo = LOOKED[state.photo], [rows, columns] = photo.grid, [x0, y0, x1, y1] = photo.window;
  pen.imageSmoothingEnabled = true;
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const image = pen.getImageData(0, 0, canvas.width, canvas.height), pixels = image.data;
  const map = state.method === "tokens" ? null : chosen(), strength = state.strength / 100;
  for (let row = 0; row < canvas.height; row++) {
    const y = ((row + 0.5) / canvas.height - y0) / (y1 - y0);
    for (let column = 0; column < canvas.width; column++) {
      const x = ((column + 0.5) / canvas.width - x0) / (x1 - x0), place = 4 * (row * canvas.width + column);
      let paint = DARK, cover = 0.65;
      if (x >= 0 && x <= 1 && y >= 0 && y <= 1) {
        if (map) {
          const level = between(map.values, rows, columns, y, x);
          paint = SHADES[Math.round(255 * level)]; cover = strength * (1 / 3 + level * 2 / 3);
        } else {
          const token = clamp(Math.floor(y * rows), rows - 1) * columns + clamp(Math.floor(x * columns), columns - 1);
          paint = photo.tokens.colours[photo.tokens.best[token]] || OTHERS;
          cover = strength * (0.15 + 0.85 * photo.tokens.sure[token]);
          const grey = 0.299 * pixels[place] + 0.587 * pixels[place + 1] + 0.114 * pixels[place + 2];
          pixels.fill(grey, place, place + 3);
        }
      }
      for (let channel = 0; channel < 3; channel++) {
        pixels[place + channel] += cover * (paint[channel] - pixels[place + channel]);
      }
    }
  }
  pen.putImageData(image, 0, 0);
  if (photo.token && state.method !== "tokens") {
    const [row, column] = photo.token;
    const width = (x1 - x0) / columns * canvas.width, height = (y1 - y0) / rows * canvas.height;
    pen.strokeStyle = "#fff"; pen.lineWidth = 2;
    pen.strokeRect(x0 * canvas.width + column * width, y0 * canvas.height + row * height, width, height);
  }
  tell(photo, map, columns);
}

function tell(photo, map, columns) {
  at("layers").hidden = !["attention", "rollout"].includes(state.method);
  at("heads").hidden = state.method !== "attention";
  at("classes").hidden = state.method !== "relevance";
  at("legend").hidden = state.method !== "tokens";
  at("scale").hidden = state.method === "tokens";
  if (!map) {
    at("said").textContent = "what each token says it sees, the stronger the colour the surer";
    return;
  }
  const peak = map.values.indexOf(Math.max(...map.values)), unit = value => map.percent ? `${(100 * value).toPrecision(3)} %` : value.toPrecision(3);
  at("said").textContent = `${map.name}: most at row ${Math.floor(peak / columns)}, column ${peak % columns}`;
  at("low").textContent = unit(map.low); at("high").textContent = unit(map.high);
}

// what is below the pointer
function point(event) {
  const photo = LOOKED[state.photo], [rows, columns] = photo.grid, [x0, y0, x1, y1] = photo.window;
  const row = Math.floor(((event.offsetY / canvas.clientHeight) - y0) / (y1 - y0) * rows);
  const column = Math.floor(((event.offsetX / canvas.clientWidth) - x0) / (x1 - x0) * columns);
  if (row < 0 || row >= rows || column < 0 || column >= columns) { canvas.title = ""; return; }
  const token = row * columns + column, tokens = photo.tokens;
  canvas.title = `row ${row}, column ${column}: says ${tokens.names[tokens.best[token]]}, ${(100 * tokens.sure[token]).toFixed(0)} % sure`;
}

function show() {
  const photo = LOOKED[state.photo];
  at("layer").max = photo.layers - 1; at("layer").value = state.layer < 0 ? photo.layers - 1 : state.layer;
  at("head").max = photo.heads - 1; at("head").value = state.head;
  at("layer-at").textContent = at("layer").value;
  at("head-at").textContent = state.head < 0 ? "mean" : at("head").value;
  at("strength").value = state.strength;
  at("class").replaceChildren(...photo.told.map((name, number) => new Option(name, number, false, number === state.class)));
  at("legend").replaceChildren(...photo.tokens.legend.map(([paint, text]) => {
    const item = document.createElement("li"), patch = document.createElement("i");
    patch.style.background = `rgb(${paint})`; item.append(patch, text);
    return item;
  }));
  at("guess").textContent = photo.guess;
  for (const button of document.querySelectorAll("[data-photo]")) button.setAttribute("aria-pressed", button.dataset.photo == state.photo);
  for (const input of document.querySelectorAll("[name=method]")) input.checked = input.value === state.method;
  const image = new Image();
  image.onload = () => {
    // small photos are shown larger, so that a token can be made out
    const scale = Math.max(1, Math.min(8, Math.round(560 / Math.max(image.width, image.height))));
    canvas.width = image.width * scale; canvas.height = image.height * scale;
    picture = image; draw();
  };
  image.src = photo.image;
}

function change(name, value) {
  state[name] = name === "method" ? value : Number(value);
  const words = Object.entries(state).map(([key, part]) => `${key}=${part}`).join("&");
  history.replaceState(null, "", `#${words}`);
  show();
}

function read() {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (name in state) state[name] = name === "method" ? value : Number(value);
  }
  state.photo = clamp(Math.floor(state.photo) || 0, LOOKED.length - 1);
  if (!["attention", "rollout", "relevance", "tokens"].includes(state.method)) state.method = "attention";
  show();
}

for (const name of ["layer", "head", "class", "strength"]) at(name).addEventListener("input", event => change(name, event.target.value));
for (const input of document.querySelectorAll("[name=method]")) input.addEventListener("change", () => change("method", input.value));
for (const button of document.querySelectorAll("[data-photo]")) {
  button.firstChild.src = LOOKED[button.dataset.photo].image;
  button.addEventListener("click", () => change("photo", button.dataset.photo));
}
canvas.addEventListener("pointermove", point);
window.addEventListener("hashchange", read);
read();
