/* The console page: xterm.js on a WebSocket. Binary messages are what is typed and shown, text messages are JSON. */
(() => {
  const box = document.getElementById('terminal');
  const form = document.getElementById('console-form');
  const button = document.getElementById('console-connect');
  const label = button.querySelector('span');
  const state = document.getElementById('console-state');
  const bytes = new TextEncoder();

  const term = new Terminal({
    cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
    fontFamily: getComputedStyle(box).fontFamily,
    fontSize: 13,
    scrollback: 5000,
    theme: {
      background: '#14191a', foreground: '#e6e9e8', cursor: '#e6e9e8', selectionBackground: '#1f565c',
      green: '#7fd49d', blue: '#98bef2', yellow: '#e8b95f', red: '#f3988e', magenta: '#d6a6e8', cyan: '#70cad0', brightBlack: '#8c9696',
    },
  });
  const fit = new FitAddon.FitAddon();
  term.loadAddon(fit);
  term.open(box);
  fit.fit();

  let socket = null;
  const say = (what) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(what)); };
  const show = (className, text) => {
    state.className = `end ${className}`;
    state.textContent = text;
    if (className === 'live') {
      const dot = document.createElement('span');
      dot.className = 'dot';
      dot.setAttribute('aria-hidden', 'true');
      state.prepend(dot);
    }
  };
  const line = (text) => term.write(`\r\n\x1b[90m${text}\x1b[0m\r\n`);

  const connect = () => {
    socket?.close();
    term.reset();
    show('muted', 'Connecting');
    label.textContent = 'Reconnect';
    const address = new URL(form.dataset.socket, location.href);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    address.search = new URLSearchParams(new FormData(form));
    const own = new WebSocket(address);
    let shown = 0;
    let told = 0;
    let end = null;
    own.binaryType = 'arraybuffer';
    own.addEventListener('message', ({ data }) => {
      if (own !== socket) return;
      if (typeof data !== 'string') {
        // Saying what was shown lets the server wait when a program writes faster than this.
        term.write(new Uint8Array(data), () => {
          shown += data.byteLength;
          if (shown - told > 65536) { told = shown; if (own === socket) say({ shown }); }
        });
        return;
      }
      const message = JSON.parse(data);
      if (message.state === 'open') {
        show('live', `Connected, ${message.shell}`);
        fit.fit();
        say({ size: [term.cols, term.rows] });
        term.focus();
      } else if (message.state === 'ended') {
        end = message.exit_code === null ? 'The shell has ended' : `The shell has ended with exit code ${message.exit_code}`;
      } else {
        end = message.message;
      }
    });
    own.addEventListener('close', () => {
      if (own !== socket) return;
      line(end ?? 'The connection was lost');
      show('muted', end ?? 'Connection lost');
    });
    socket = own;
  };

  term.onData((text) => {
    // A large paste goes in pieces: the server takes messages of 64 KiB.
    const all = bytes.encode(text);
    for (let at = 0; at < all.length; at += 16384) {
      if (socket?.readyState === WebSocket.OPEN) socket.send(all.subarray(at, at + 16384));
    }
  });
  term.onBinary((text) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  });
  term.onResize(({ cols, rows }) => say({ size: [cols, rows] }));
  term.attachCustomKeyEventHandler((e) => {
    if (e.type !== 'keydown' || !e.ctrlKey || !e.shiftKey) return true;
    if (e.code === 'KeyQ') { e.preventDefault(); button.focus(); return false; }
    if (e.code === 'KeyC') { e.preventDefault(); copyText(term.getSelection()).catch(() => {}); return false; }
    return true;
  });
  new ResizeObserver(() => fit.fit()).observe(box);
  document.getElementById('console-full').addEventListener('click', () => {
    if (document.fullscreenElement) document.exitFullscreen(); else box.requestFullscreen().then(() => term.focus());
  });
  form.addEventListener('submit', (e) => { e.preventDefault(); connect(); });
  connect();
})();
