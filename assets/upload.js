/* Uploads with progress: one file after the other, each can be cancelled. Without this file the form sends them all. */
(() => {
  const form = document.querySelector('[data-upload]');
  if (!form) return;
  const list = form.querySelector('[data-uploads]');
  const button = form.querySelector('[type="submit"]');
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const size = (n) => {
    let unit = 0;
    while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
    return `${n.toFixed(unit && n < 10 ? 1 : 0)} ${units[unit]}`;
  };
  const left = (s) => s < 60 ? `${Math.ceil(s)} s` : s < 3600 ? `${Math.ceil(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;

  const row = (file) => {
    const item = document.createElement('li');
    const box = document.createElement('div');
    box.className = 'grow';
    const name = document.createElement('div');
    name.className = 'any';
    name.textContent = file.name;
    const bar = document.createElement('progress');
    bar.max = 100;
    bar.value = 0;
    bar.setAttribute('aria-label', `Upload of ${file.name}`);
    const state = document.createElement('div');
    state.className = 'small';
    state.textContent = `Waiting, ${size(file.size)}`;
    const stop = document.createElement('button');
    stop.type = 'button';
    stop.className = 'btn sm';
    stop.textContent = 'Cancel';
    box.append(name, bar, state);
    item.append(box, stop);
    list.append(item);
    return { item, bar, state, stop };
  };

  const send = (file, to, r) => new Promise((done) => {
    const request = new XMLHttpRequest();
    const began = performance.now();
    const end = (ok, text, job) => {
      r.item.className = ok ? 'ok' : 'bad';
      r.bar.remove();
      r.stop.remove();
      r.state.textContent = text;
      if (job) {
        const link = document.createElement('a');
        link.href = `/jobs/${encodeURIComponent(job)}`;
        link.textContent = 'See the import';
        r.state.append(' ', link);
      }
      done(ok);
    };
    const limit = Number(form.dataset.limit || Infinity);
    if (file.size > limit) { end(false, `It is larger than ${size(limit)}, the most that may be uploaded here.`); return; }
    request.upload.onprogress = (e) => {
      const seconds = (performance.now() - began) / 1000;
      const rate = e.loaded / Math.max(seconds, 0.1);
      r.bar.value = e.total ? (e.loaded / e.total) * 100 : 0;
      r.state.textContent = e.loaded < e.total
        ? `${size(e.loaded)} of ${size(e.total)}, ${size(rate)}/s, ${left((e.total - e.loaded) / rate)} left`
        : 'Looking at the file';
    };
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* said below */ }
      if (request.status === 202) end(true, 'Uploaded.', answer.progress_id);
      else end(false, answer.error || `The server answered ${request.status}.`);
    };
    request.onerror = () => end(false, 'The connection broke off. Nothing of it was kept; try again.');
    request.onabort = () => end(false, 'Cancelled. Nothing of it was kept.');
    r.stop.onclick = () => request.abort();
    const body = new FormData();
    body.append('storage', to);
    body.append('file', file);
    request.open('POST', '/api/upload-backup');
    request.setRequestHeader('Accept', 'application/json');
    request.send(body);
  });

  form.addEventListener('submit', async (e) => {
    const files = [...form.elements.file.files];
    if (!files.length) return;
    e.preventDefault();
    list.hidden = false;
    button.disabled = true;
    const to = form.elements.storage.value;
    const leaving = (event) => event.preventDefault();
    addEventListener('beforeunload', leaving);
    const rows = files.map((file) => {
      const r = row(file);
      r.stop.onclick = () => { r.cancelled = true; r.item.className = 'bad'; r.bar.remove(); r.stop.remove(); r.state.textContent = 'Cancelled.'; };
      return [file, r];
    });
    for (const [file, r] of rows) if (!r.cancelled) await send(file, to, r);
    removeEventListener('beforeunload', leaving);
    button.disabled = false;
    form.elements.file.value = '';
  });
})();
