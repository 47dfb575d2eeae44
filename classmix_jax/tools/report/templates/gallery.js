'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const controls = document.getElementById('controls');
const VOID = 255, WRONG = [220, 30, 40], RIGHT = [40, 160, 90];

async function loadImage(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

// The grey values of a PNG: class ids, or confidence from 0 to 255.
async function values(source) {
  const image = await loadImage(source);
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const grey = new Uint8Array(pixels.length / 4);
  for (let i = 0; i < grey.length; i++) grey[i] = pixels[4 * i];
  return {grey, width: canvas.width, height: canvas.height};
}

async function load(view) {
  const runs = view.runs.map(async run => run && ({
    prediction: await values(run.prediction), confidence: await values(run.confidence)}));
  return {photo: await loadImage(view.image), truth: await values(view.truth),
          runs: await Promise.all(runs)};
}

function chosen() {
  const form = new FormData(controls);
  return {layer: form.get('layer'), run: Number(form.get('run') || 0),
          opacity: Number(form.get('opacity')) / 100,
          classes: new Set(form.getAll('class').map(Number))};
}

// Returns the colour of a pixel above the photo, null for none.
function colour(what, loaded, i) {
  const truth = loaded.truth.grey[i], run = loaded.runs[what.run];
  if (what.layer === 'image' || (what.layer !== 'truth' && !run)) return null;
  const label = what.layer === 'truth' ? truth : run.prediction.grey[i];
  if (what.layer === 'confidence') {
    const sure = run.confidence.grey[i];
    return what.classes.has(label) ? [255 - sure, sure, 90] : null;
  }
  if (what.layer === 'error') {
    if (truth === VOID || !what.classes.has(truth)) return null;
    return label === truth ? RIGHT : WRONG;
  }
  return what.classes.has(label) ? data.palette[label] : null;
}

function draw(canvas, loaded, what) {
  const {width, height} = loaded.truth;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  context.drawImage(loaded.photo, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  for (let i = 0; i < width * height; i++) {
    const above = colour(what, loaded, i);
    if (!above) continue;
    for (let c = 0; c < 3; c++)
      pixels.data[4 * i + c] += what.opacity * (above[c] - pixels.data[4 * i + c]);
  }
  context.putImageData(pixels, 0, 0);
}

async function start() {
  const canvases = [...document.querySelectorAll('canvas')];
  const loaded = await Promise.all(data.views.map(load));
  const update = () => {
    const what = chosen();
    canvases.forEach((canvas, index) => draw(canvas, loaded[index], what));
  };
  controls.addEventListener('input', update);
  for (const [id, on] of [['all', true], ['none', false]])
    document.getElementById(id).addEventListener('click', () => {
      controls.querySelectorAll('[name=class]').forEach(box => { box.checked = on; });
      update();
    });
  update();
  document.body.dataset.ready = 'yes';
}
if (controls) start();
