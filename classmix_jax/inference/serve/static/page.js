'use strict';
const find = id => document.getElementById(id);
const maxBytes = Number(document.body.dataset.maxBytes);
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
  const swatch = document.createElement('span'), bar = document.createElement('i');
  swatch.className = 'swatch';
  swatch.style.background = one.color;
  name.append(swatch, `${one.id} ${one.name}`);
  share.className = 'bar';
  bar.style.width = `${100 * one.share}%`;
  share.append(bar, percent(one.share));
  return row;
}

function showLegend(classes) {
  const present = classes.filter(one => one.share > 0).sort((a, b) => b.share - a.share);
  find('legend').replaceChildren(...present.map(legendRow));
  const absent = classes.filter(one => one.share === 0).map(one => one.name);
  find('absent').textContent = absent.length ? `Without a pixel: ${absent.join(', ')}` : '';
}

async function show(reply, name) {
  find('image').src = reply.images.image;
  find('overlay').src = reply.images.label;
  find('image').alt = name;
  find('overlay').alt = 'predicted classes';
  showLegend(reply.classes);
  find('summary').textContent = `${name}: ${reply.width} x ${reply.height} pixels, ` +
    `mean confidence ${percent(reply.mean_confidence)}, ${reply.seconds.toFixed(2)} s` +
    (reply.compiled ? ', compilation included; the next image of this size is faster' : '');
  find('download').href = reply.images.label;
  find('download').download = `${name.replace(/\.[^.]*$/, '')}.png`;
  // The whole image is in view, also a tall one.
  find('stack').style.maxWidth = `calc(85vh * ${reply.width / reply.height})`;
  await Promise.all([find('image').decode(), find('overlay').decode()]);
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
find('opacity').addEventListener('input', showOpacity);
showOpacity();
document.body.dataset.ready = 'yes';
