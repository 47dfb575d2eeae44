'use strict';
const find = id => document.getElementById(id);
const maxBytes = Number(document.body.dataset.maxBytes);
const maxDrawn = 4e6;  // pixels of the canvas; phones refuse large ones
const labels = new Image();  // the class ids, in the colours of the classes
let last = null;  // the request whose reply is awaited

function say(status, error = '') {
  find('status').textContent = status;
  find('error').textContent = error;
}

function percent(fraction) {
  if (fraction > 0 && fraction < 0.0005) return '< 0.1 %';
  return `${(100 * fraction).toFixed(fraction > 0 && fraction < 0.0995 ? 1 : 0)} %`;
}

function legendRow(one) {
  const row = document.createElement('tr');
  const name = row.insertCell(), share = row.insertCell();
  const label = document.createElement('label'), box = document.createElement('input');
  const swatch = document.createElement('span'), bar = document.createElement('i');
  box.type = 'checkbox';
  box.checked = true;
  box.value = one.color;
  swatch.className = 'swatch';
  swatch.style.background = one.color;
  label.append(box, swatch, `${one.id} ${one.name}`);
  name.append(label);
  share.className = 'bar';
  bar.style.width = `${100 * one.share}%`;
  share.append(bar, percent(one.share));
  return row;
}

function boxes() {
  return [...find('legend').querySelectorAll('input')];
}

function showLegend(classes) {
  const present = classes.filter(one => one.share > 0).sort((a, b) => b.share - a.share);
  find('legend').replaceChildren(...present.map(legendRow));
  const absent = classes.filter(one => one.share === 0).map(one => one.name);
  find('absent').textContent = absent.length ? `Without a pixel: ${absent.join(', ')}` : '';
}

// Draws the colours of the classes that are checked; the others are transparent.
function drawOverlay() {
  const canvas = find('overlay'), {naturalWidth, naturalHeight} = labels;
  const scale = Math.min(1, Math.sqrt(maxDrawn / (naturalWidth * naturalHeight)));
  canvas.width = Math.max(1, Math.round(scale * naturalWidth));
  canvas.height = Math.max(1, Math.round(scale * naturalHeight));
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.imageSmoothingEnabled = false;  // mixed colours would be other classes
  context.drawImage(labels, 0, 0, canvas.width, canvas.height);
  const hidden = new Set(boxes().filter(box => !box.checked).map(box => parseInt(box.value.slice(1), 16)));
  find('toggle').textContent = hidden.size ? 'show all' : 'hide all';
  if (!hidden.size) return;
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height), data = pixels.data;
  for (let i = 0; i < data.length; i += 4)
    if (hidden.has(data[i] << 16 | data[i + 1] << 8 | data[i + 2])) data[i + 3] = 0;
  context.putImageData(pixels, 0, 0);
}

async function show(reply, name) {
  find('image').src = reply.images.image;
  labels.src = reply.images.label;
  find('image').alt = name;
  showLegend(reply.classes);
  find('summary').textContent = `${name}: ${reply.width} x ${reply.height} pixels, ` +
    `mean confidence ${percent(reply.mean_confidence)}, ${reply.seconds.toFixed(2)} s` +
    (reply.compiled ? ', compilation included; the next image of this size is faster' : '');
  find('download').href = reply.images.label;
  find('download').download = `${name.replace(/\.[^.]*$/, '')}.png`;
  // The whole image is in view, also a tall one.
  find('stack').style.maxWidth = `calc(85vh * ${reply.width / reply.height})`;
  await Promise.all([find('image').decode(), labels.decode()]);
  drawOverlay();
  find('result').hidden = false;
}

async function predict(file) {
  if (last) last.abort();
  const mine = last = new AbortController();
  const name = file.name || 'pasted image';
  find('result').classList.add('stale');
  if (file.size > maxBytes)
    return say('', `${name} has ${Math.ceil(file.size / 2 ** 20)} MB, ${maxBytes / 2 ** 20} MB are accepted.`);
  say(`Predicting ${name}. The first image of a size takes longer: the network is compiled for it.`);
  try {
    const response = await fetch('predict?output=json&images=image,label',
      {method: 'POST', body: file, headers: {'Content-Type': 'application/octet-stream'}, signal: mine.signal});
    const reply = await response.json();
    if (!response.ok) return say('', `${name}: ${reply.error}`);
    await show(reply, name);
    say('');
    find('result').classList.remove('stale');
  } catch (error) {
    if (mine.signal.aborted) return;
    say('', `${name}: no reply from the server; is it still running? (${error.message})`);
  }
}

function showOpacity() {
  find('overlay').style.opacity = find('opacity').value / 100;
  find('percent').textContent = `${find('opacity').value} %`;
}

function accept(files) {
  if (files.length) predict(files[0]);
}

find('file').addEventListener('change', event => {
  accept(event.target.files);
  event.target.value = '';  // so that the same file can be chosen again
});
document.addEventListener('paste', event => accept(event.clipboardData.files));
document.addEventListener('dragover', event => {
  event.preventDefault();
  find('form').classList.add('over');
});
document.addEventListener('dragleave', event => {
  if (!event.relatedTarget) find('form').classList.remove('over');
});
document.addEventListener('drop', event => {
  event.preventDefault();
  find('form').classList.remove('over');
  accept(event.dataTransfer.files);
});
find('legend').addEventListener('change', drawOverlay);
find('toggle').addEventListener('click', () => {
  const shown = boxes().some(box => !box.checked);
  boxes().forEach(box => { box.checked = shown; });
  drawOverlay();
});
find('opacity').addEventListener('input', showOpacity);
showOpacity();
document.body.dataset.ready = 'yes';
