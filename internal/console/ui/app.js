// The console's one script. Pages are drawn on the server; this asks for the
// same page again when something changed and moves the differences over, node by
// node, so that focus, scroll and half-typed reasons stay. No markup is ever made
// from text: documents are parsed by the browser (XMLHttpRequest), never by us.
const doc = document, root = doc.documentElement, page = doc.body.dataset.page;
const $ = (q, el = doc) => el.querySelector(q), $$ = (q, el = doc) => [...el.querySelectorAll(q)];
const csrf = doc.body.dataset.csrf, ARM = 700, wide = matchMedia('(min-width: 781px)');

// ---- asking and morphing ------------------------------------------------

function ask(url) {
  return new Promise((done, fail) => {
    const x = new XMLHttpRequest();
    x.open('GET', url);
    x.responseType = 'document';
    x.setRequestHeader('X-Refresh', '1');
    x.onload = () => x.status === 200 && x.response && new URL(x.responseURL).pathname !== '/signin' ? done(x.response) : fail(x);
    x.onerror = x.ontimeout = () => fail(x);
    x.timeout = 15000;
    x.send();
  });
}

const keyOf = n => n.nodeType === 1 ? n.id || n.dataset?.key || '' : '';

function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || keyOf(from) !== keyOf(to)) {
    from.replaceWith(doc.adoptNode(to));
    return;
  }
  if (from.nodeType !== 1) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  if (from.hasAttribute('data-keep')) return;
  for (const a of [...from.attributes]) {
    if (!to.hasAttribute(a.name) && a.name !== 'open') from.removeAttribute(a.name);
  }
  for (const a of [...to.attributes]) {
    if (a.name === 'disabled' && from.hasAttribute('data-arm')) continue; // arming owns it
    if (from.getAttribute(a.name) !== a.value) from.setAttribute(a.name, a.value);
  }
  children(from, to);
}

function children(from, to) {
  const keyed = new Map();
  for (const n of from.childNodes) if (keyOf(n)) keyed.set(keyOf(n), n);
  let at = from.firstChild;
  for (const want of [...to.childNodes]) {
    const k = keyOf(want), have = k ? keyed.get(k) : null;
    if (have && have.nodeName === want.nodeName) {
      if (have !== at) from.insertBefore(have, at); else at = at.nextSibling;
      keyed.delete(k);
      morph(have, want);
    } else if (!k && at && !keyOf(at) && at.nodeName === want.nodeName) {
      const next = at.nextSibling;
      morph(at, want);
      at = next;
    } else {
      from.insertBefore(doc.adoptNode(want), at);
    }
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
}

let running = null, again = false;
// refresh asks for this page and moves what changed. Calls while one runs make one more.
async function refresh() {
  if (running) { again = true; return running; }
  running = (async () => {
    do {
      again = false;
      const url = location.href;
      try {
        const next = await ask(url);
        if (url === location.href) apply(next); else again = true;
      } catch (x) {
        if (x.status === 401 || x.status === 200) { location.assign('/signin'); return; }
      }
    } while (again);
  })();
  await running;
  running = null;
}

function apply(next) {
  const rows = $('#rows'), sel = $('.row.sel'), was = sel ? sel.getBoundingClientRect().top : 0;
  const known = new Set($$('.row').map(r => r.dataset.id)), fresh = rows && known.size;
  for (const part of $$('[data-live]')) {
    const n = $(`[data-live="${part.dataset.live}"]`, next);
    if (n) morph(part, n);
  }
  doc.title = next.title;
  readClock($('.rail', next) ?? $('.rail'));
  decorate();
  if (rows) {
    const still = $('.row.sel'); // the row under the eye and the key stays where it is
    if (sel && still && still.dataset.id === sel.dataset.id) rows.scrollTop += still.getBoundingClientRect().top - was;
    const came = $$('.row').filter(r => fresh && !known.has(r.dataset.id));
    came.forEach(r => r.classList.add('came'));
    if (came.length) say(`${came.length} new: ${$('.ttl', came[0]).textContent}`);
  }
}

// decorate puts back what only this browser knows: local times, the filter, marks, arming.
function decorate() {
  offerPush();
  stay();
  times();
  filter();
  mark();
  oftener();
  settle();
}

// ---- time ------------------------------------------------------------------

const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
const formats = timeZone => ({
  zone: timeZone,
  clock: new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', timeZone }),
  hm: new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone }),
  day: new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium', timeZone }),
  off: new Intl.DateTimeFormat('en-GB', { timeZoneName: 'shortOffset', timeZone }),
});
const utc = formats('UTC'), local = formats(here);
let shown = localStorage.getItem('assent-zone') === 'UTC' ? utc : local;
const other = () => shown === utc ? local : utc;
const offset = (f, at) => f === utc ? 'UTC' : f.off.formatToParts(at).find(p => p.type === 'timeZoneName').value.replace('GMT', 'UTC').replace(/\+0$/, '');
const same = at => offset(local, at) === 'UTC';
const named = (f, at) => f === utc || f.zone === 'UTC' ? 'UTC' : `${f.zone.replaceAll('_', ' ')} (${offset(f, at)})`;

function switchZone() {
  shown = other();
  localStorage.setItem('assent-zone', shown === utc ? 'UTC' : 'local');
  times();
  say(`Times are in ${named(shown, new Date())}`);
}
let skew = 0; // server's clock minus ours, in ms; small differences are the network's

function readClock(nav) {
  const d = nav ? Date.parse(nav.dataset.now) - Date.now() : 0;
  skew = Math.abs(d) > 3000 ? d : 0;
}

function ago(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 5) return 'now';
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} days ago`;
}

const set = (el, text) => { if (el.textContent !== text) el.textContent = text; };

function timeOf(t, now) {
  const at = new Date(t.dateTime), as = t.dataset.as;
  set(t, as === 'ago' ? ago(now - at) : as === 'clock' ? shown.clock.format(at) : shown.day.format(at));
}

function times() {
  const now = Date.now() + skew;
  for (const t of $$('time[data-as]')) timeOf(t, now);
  for (const t of $$('[data-tick]')) set(t, shown.hm.format(new Date(t.dataset.tick)));
  for (const z of $$('.zonename')) set(z, named(shown, now));
  for (const z of $$('.zonesw')) z.classList.toggle('hidden', same(now));
  for (const z of $$('.zoneother')) set(z, named(other(), now));
  if ($('#clock-a')) {
    set($('#clock-a'), `${shown.hm.format(now)} ${offset(shown, now)}`);
    set($('#clock-b'), same(now) ? '' : `${other().hm.format(now)} ${offset(other(), now)}`);
  }
  for (const r of $$('.ring')) {
    const end = Date.parse(r.dataset.expires), begin = Date.parse(r.dataset.begins), left = Math.max(0, end - now);
    const s = Math.round(left / 1000), two = n => String(n).padStart(2, '0');
    set($('b', r), s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`);
    $('.ring-v', r).setAttribute('stroke-dasharray', `${Math.max(0, 100 * left / Math.max(1, end - begin)).toFixed(1)} 100`);
    r.classList.toggle('late', s < 60);
    if (s === 0 && !r.dataset.over) { r.dataset.over = '1'; later(refresh, 1200); }
  }
}

// ---- list ------------------------------------------------------------------

const marked = new Set();
const shownRows = () => $$('.row').filter(r => !r.classList.contains('hidden'));
const selected = () => $('.row.sel');

function filter() {
  const box = $('#filter');
  if (!box) return;
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let any = false;
  for (const g of $$('.grp')) {
    let n = 0;
    for (const r of $$('.row', g)) {
      const hit = words.every(w => r.dataset.search.includes(w));
      r.classList.toggle('hidden', !hit);
      n += hit;
    }
    g.classList.toggle('hidden', !n);
    any ||= n > 0;
  }
  $('#nothing').classList.toggle('hidden', any || !$('.row'));
}

function mark() {
  if (!$('#bulk')) return;
  for (const id of marked) if (!$(`#r-${CSS.escape(id)}[data-may]`)) marked.delete(id);
  for (const r of $$('.row')) r.classList.toggle('marked', marked.has(r.dataset.id));
  $('#marks').textContent = marked.size;
  $('#bulk').classList.toggle('hidden', !marked.size);
  $('#keys').classList.toggle('hidden', !!marked.size);
}

function move(step) {
  const rows = shownRows(), i = rows.indexOf(selected());
  const to = rows[i < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, i + step))];
  if (to && to !== selected()) pick(to);
}

// stay names the card that the server chose in the address, so that it stays
// when it leaves the list: decided, by this person or another.
function stay() {
  const row = selected();
  if (row && wide.matches && location.pathname === '/approvals') history.replaceState(null, '', $('a', row).getAttribute('href'));
}

// pick selects a row at once; its detail follows. The address names it, so that a reload shows the same.
function pick(row) {
  for (const r of $$('.row.sel')) { r.classList.remove('sel'); $('a', r).removeAttribute('aria-current'); }
  row.classList.add('sel');
  $('a', row).setAttribute('aria-current', 'true');
  row.scrollIntoView({ block: 'nearest' });
  history.replaceState(null, '', $('a', row).getAttribute('href'));
  disarm();
  refresh();
}

// ---- deciding ----------------------------------------------------------------

let armed = '', settling = '', timer = 0;
const now = () => $('.card-page')?.dataset.settle ?? '';

function disarm() {
  armed = settling = '';
  clearTimeout(timer);
  for (const b of $$('[data-arm]')) { b.disabled = true; b.classList.remove('arming'); }
}

// settle arms approving once the card shown is the one selected and has not changed for 700 ms.
function settle() {
  const key = now(), row = selected();
  if (!key || row && row.dataset.id !== $('.card-page').dataset.id) return disarm();
  if (key === armed || key === settling) {
    for (const b of $$('[data-arm]')) b.disabled = key !== armed;
    return;
  }
  const reason = $('#reason');
  if (reason && reason.dataset.of !== $('.card-page').dataset.id) { reason.dataset.of = $('.card-page').dataset.id; reason.value = ''; }
  disarm();
  settling = key;
  $('#approve')?.classList.add('arming');
  timer = setTimeout(() => {
    if (now() !== key) return;
    armed = key;
    for (const b of $$('[data-arm]')) { b.disabled = false; b.classList.remove('arming'); }
  }, ARM);
}

async function post(url, fields) {
  try {
    const r = await fetch(url, { method: 'POST', body: new URLSearchParams(fields), headers: { 'X-CSRF-Token': csrf }, redirect: 'error' });
    return { ok: r.ok, text: (await r.text()).slice(0, 300) };
  } catch {
    return { ok: false, text: 'The server did not answer. Nothing is known to be decided; look at the card.' };
  }
}

let sending = false;
async function decide(decision, confirmed) {
  const form = $('#decide'), reason = $('#reason');
  if (!form || !reason || sending) return;
  if (decision === 'approve') {
    if (!armed || armed !== now()) return;
    const ask = $('#confirm');
    if (ask && !confirmed) {
      ask.showModal();
      const yes = $('#confirm-yes');
      yes.disabled = true;
      yes.classList.add('arming');
      setTimeout(() => { yes.classList.remove('arming'); yes.disabled = armed !== now(); if (ask.open && !yes.disabled) yes.focus(); }, ARM);
      return;
    }
  } else if (!reason.value.trim()) {
    form.classList.add('denying');
    reason.placeholder = 'Why is it denied? Enter denies, Esc goes back';
    reason.focus();
    toast('A denial needs a reason.', true);
    return;
  }
  sending = true;
  const fields = { decision, reason: reason.value, digest: form.elements.digest.value, version: form.elements.version.value };
  const less = ['mask', 'max_rows', 'within'].map(n => form.elements[n]).filter(f => f?.value.trim());
  if (form.elements.standing_uses?.value.trim()) less.push(...['standing_uses', 'standing_minutes', 'standing_values'].map(n => form.elements[n]));
  if (decision === 'approve') for (const f of less) fields[f.name] = f.value;
  if (confirmed) fields.confirmed = 'yes';
  $('#confirm')?.close();
  const by = form.dataset.passkey, url = form.getAttribute('action');
  if (by === 'all' || by === 'approve' && decision === 'approve') {
    try {
      Object.assign(fields, await (await passkeys()).sign(url.replace(/review$/, 'challenge'), fields));
    } catch (e) {
      sending = false;
      toast(e.message, true);
      return void refresh();
    }
  }
  const r = await post(url, fields);
  sending = false;
  toast(r.text, !r.ok);
  if (r.ok) { for (const f of less) if (f.type !== 'select-one') f.value = ''; reason.value = ''; calm(); }
  refresh();
}

// oftener says on what approves that it asks for a standing grant too.
function oftener() {
  const f = $('#decide')?.elements, n = f?.standing_uses?.value.trim(), label = $('#approve .label'), more = $('#confirm-more');
  if (label && n) set(label, 'Approve, and again…');
  if (more) {
    more.hidden = !n;
    set(more, n ? `And the same again, at most ${n} times within ${f.standing_minutes.value.trim() || '?'} min, if everybody who reviews it asks for that too.` : '');
  }
}

// foresee shows what the standing grant in the form would cover, and what not.
let foreseen = 0;
async function foresee() {
  const form = $('#decide'), at = $('#standing .foreseen'), mine = ++foreseen;
  if (!form?.elements.standing_uses || !at) return;
  const q = new URLSearchParams(['standing_uses', 'standing_minutes', 'standing_values'].map(n => [n, form.elements[n].value.trim()]));
  try {
    const got = $('[data-live=standing-preview]', await ask(form.getAttribute('action').replace(/review$/, 'standing?') + q));
    if (mine === foreseen && got) at.replaceChildren(...[...got.childNodes].map(n => doc.adoptNode(n)));
  } catch { if (mine === foreseen) at.textContent = 'What it would cover can\'t be shown right now.'; }
}

// ---- push messages -------------------------------------------------------------

let workers; // the one script that may be a worker; no other name passes
function worker() {
  workers ??= window.trustedTypes?.createPolicy('assent-worker', { createScriptURL: u => { if (u !== '/worker.js') throw new TypeError('no such worker'); return u; } }) ?? { createScriptURL: u => u };
  return navigator.serviceWorker.register(workers.createScriptURL('/worker.js'));
}

const raw = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

async function subscribe(b) {
  b.disabled = true;
  try {
    if (await Notification.requestPermission() !== 'granted') throw new Error('This browser was told not to show notifications. Its own settings can change that.');
    await worker();
    const ready = await navigator.serviceWorker.ready;
    const s = await ready.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: b.dataset.keyOf });
    const r = await post('/settings/push', { endpoint: s.endpoint, key: raw(s.getKey('p256dh')), auth: raw(s.getKey('auth')) });
    if (!r.ok) await s.unsubscribe();
    toast(r.text, !r.ok);
    refresh();
  } catch (e) {
    toast(e.message, true);
  }
  b.disabled = false;
}

// offerPush shows the button where the browser can do it.
function offerPush() {
  const b = $('#pushb');
  if (!b || !('serviceWorker' in navigator) || !('PushManager' in window)) return;
  b.hidden = false;
  $('#pushno').hidden = true;
}

// passkeys is loaded when the first one is needed.
const passkeys = () => import(doc.body.dataset.passkeys);

// A key that a fresh sign-in binds waits in this tab while its person is away at their issuer.
const waiting = 'assent-new-passkey';

function leave(url, fields) {
  const f = doc.createElement('form');
  f.method = 'post';
  f.action = url;
  for (const [name, value] of Object.entries({ ...fields, csrf })) f.append(Object.assign(doc.createElement('input'), { type: 'hidden', name, value }));
  doc.body.append(f);
  f.submit();
}

async function back() {
  const kept = sessionStorage.getItem(waiting);
  if (!kept || !$('#passkeys')) return;
  sessionStorage.removeItem(waiting);
  const r = await post('/settings/passkeys', { ...JSON.parse(kept), proof: 'sign-in' });
  toast(r.text, !r.ok);
  refresh();
}

async function register(form, how) {
  const b = $$('button', form);
  for (const x of b) x.disabled = true;
  try {
    const fields = await (await passkeys()).create(form.elements.name.value, how === 'older');
    if (how === 'signin') {
      sessionStorage.setItem(waiting, JSON.stringify(fields));
      return leave('/settings/passkeys/signin', fields);
    }
    const r = await post('/settings/passkeys', fields);
    toast(r.text, !r.ok);
    if (r.ok) form.elements.name.value = '';
  } catch (e) {
    toast(e.message, true);
  }
  for (const x of b) x.disabled = false;
  refresh();
}

function calm() {
  $('#decide')?.classList.remove('denying');
  const reason = $('#reason');
  if (reason) reason.placeholder = 'Reason, kept in the audit log';
}

async function denyMarked(reason) {
  const rows = [...marked].map(id => $(`#r-${CSS.escape(id)}`)).filter(Boolean);
  let done = 0, last = '';
  for (const r of rows) {
    const a = await post(`/approvals/${encodeURIComponent(r.dataset.id)}/review`, { decision: 'deny', reason, digest: r.dataset.digest, version: r.dataset.version });
    if (a.ok) { done++; marked.delete(r.dataset.id); } else last = a.text;
  }
  toast(done === rows.length ? `${done} denied.` : `${done} of ${rows.length} denied. ${last}`, done !== rows.length);
  refresh();
}

// ---- telling -----------------------------------------------------------------

let gone = 0;
function toast(text, bad) {
  const t = $('#toast');
  t.textContent = text;
  t.classList.toggle('bad', !!bad);
  t.classList.add('up');
  clearTimeout(gone);
  gone = setTimeout(() => t.classList.remove('up'), bad ? 6000 : 3200);
}
const say = text => { $('#say').textContent = text; };

const timers = new Map();
function later(f, ms) { if (!timers.has(f)) timers.set(f, setTimeout(() => { timers.delete(f); f(); }, ms)); }

// ---- events ------------------------------------------------------------------

function listen() {
  const es = new EventSource('/events'), pip = $('#pip');
  const light = (on, title) => { if (pip) { pip.classList.toggle('on', on); pip.classList.toggle('off', !on); pip.title = title; } };
  let first = true;
  es.onopen = () => { light(true, 'live'); if (!first) refresh(); first = false; };
  es.onerror = () => { light(false, 'reconnecting'); if (es.readyState === 2) setTimeout(listen, 5000); };
  es.addEventListener('approval', e => {
    const ev = JSON.parse(e.data);
    if (page === 'approvals' || page === 'activity') later(refresh, 60); else later(refresh, 1000);
    const row = $(`#r-${CSS.escape(ev.id)}`);
    if (row && row.dataset.state !== ev.state) say(`${$('.ttl', row).textContent}: ${ev.state}`);
  });
  es.addEventListener('head', e => {
    const n = JSON.parse(e.data).size.toLocaleString('en-US');
    for (const h of $$('[data-head]')) set(h, n);
    const wait = { activity: 3000, audit: 1500, agents: 5000, setup: 1500 }[page];
    if (wait) later(refresh, wait);
  });
  es.addEventListener('glass', () => later(refresh, 60)); // every page says it
  es.addEventListener('signedout', () => { es.close(); location.assign('/signin'); });
  addEventListener('pagehide', () => es.close());
}

// ---- the live stream -----------------------------------------------------------

// Records come in batches of bounded size and are drawn in one frame each; what
// the list holds is bounded too. Text becomes text nodes, never markup.
const LINES = 120;
let held = false, queue = [], passed = 0, drawing = false, seen = [];

function lineOf(l) {
  const el = (name, cls, text) => { const n = doc.createElement(name); if (cls) n.className = cls; if (text) n.textContent = text; return n; };
  const li = el('li', `m-${l.class}`), t = el('time'), what = el('span', 'st-t');
  li.dataset.key = l.key;
  t.dateTime = l.time;
  t.dataset.as = 'clock';
  t.title = l.time.slice(0, 19).replace('T', ' ') + ' UTC';
  t.textContent = shown.clock.format(new Date(l.time));
  const text = el(l.href ? 'a' : 'span', '', l.text);
  if (l.href) text.href = l.href;
  what.append(el('b', '', l.who), ' ', el('code', '', l.kind), ' ', text);
  li.append(t, el('i'), what, el('span', 'mr', l.result));
  return li;
}

function draw() {
  drawing = false;
  const list = $('#stream');
  if (!list || held) return;
  const top = doc.createDocumentFragment();
  const there = new Set($$('li', list).map(li => li.dataset.key));
  for (const l of queue.splice(0).slice(-LINES)) if (!there.has(l.key)) top.prepend(lineOf(l));
  if (passed) { const n = doc.createElement('li'); n.className = 'skip'; n.textContent = `${passed.toLocaleString('en-US')} more went by`; top.prepend(n); passed = 0; }
  $('.empty', list)?.remove();
  const was = list.scrollTop, before = list.scrollHeight;
  list.prepend(top);
  while (list.childElementCount > LINES) list.lastElementChild.remove();
  if (was > 4) list.scrollTop = was + list.scrollHeight - before; // who reads further down stays there
}

function hold(b) {
  held = !held;
  b.setAttribute('aria-pressed', held);
  b.textContent = held ? 'Go on' : 'Pause';
  if (!held) draw();
}

function rate() {
  const n = seen.filter(s => s.at > Date.now() - 10000).reduce((a, s) => a + s.n, 0);
  set($('#rate'), n ? `live · ${n >= 100 ? Math.round(n / 10) : (n / 10).toFixed(1)} records/s` : 'live · quiet');
}

function stream() {
  const list = $('#stream');
  if (!list) return;
  const q = new URLSearchParams(location.search);
  q.set('from', list.dataset.from);
  const es = new EventSource(`${list.dataset.url}?${q}`);
  es.addEventListener('batch', e => {
    const b = JSON.parse(e.data), n = b.lines.length + (b.skipped ?? 0), at = Date.now();
    queue.push(...b.lines);
    passed += b.skipped ?? 0;
    if (queue.length > LINES) passed += queue.splice(0, queue.length - LINES).length;
    seen = [...seen.filter(s => s.at > at - 10000), { at, n }];
    if (!drawing && !doc.hidden) { drawing = true; requestAnimationFrame(draw); }
  });
  es.addEventListener('batch', e => { list.dataset.from = e.lastEventId; });
  es.onerror = () => { if (es.readyState === 2) setTimeout(stream, 5000); };
  addEventListener('pagehide', () => es.close());
}

// ---- a record's proof ----------------------------------------------------------

async function prove() {
  const box = $('#verify');
  if (!box) return;
  const list = $('.checks', box);
  const show = steps => list.replaceChildren(...steps.map(s => {
    const li = doc.createElement('li'), b = doc.createElement('b'), more = doc.createElement('small');
    li.className = s.state;
    b.textContent = s.what;
    more.textContent = s.more ?? '';
    li.append(b, more);
    return li;
  }));
  const { verify } = await import(box.dataset.module);
  try {
    show(await verify(box.dataset.of, Number(box.dataset.index), box.dataset.keys.split(' ')));
  } catch (e) {
    show([{ state: 'bad', what: 'It could not be checked here', more: e.message }]);
  }
}

// ---- keys and clicks -----------------------------------------------------------

let going = 0; // G was pressed: until when the next key leads to a room

// '/' leads to what searches this page, whichever it is.
const field = () => $('#filter') ?? $('.search input:not([type=hidden])');

const everywhere = {
  '?': () => $('#help').showModal(), z: switchZone, '/': () => field()?.focus(), g: () => { going = Date.now() + 1500; },
};

const keys = {
  j: () => move(1), arrowdown: () => move(1), k: () => move(-1), arrowup: () => move(-1),
  a: () => decide('approve'), d: () => marked.size ? $('#bulk input').focus() : decide('deny'),
  x: () => { const r = selected(); if (!r) return; if (!('may' in r.dataset)) return toast('Only what waits for you can be marked.', true); const id = r.dataset.id; marked.has(id) ? marked.delete(id) : marked.add(id); mark(); },
  enter: () => { const r = selected(); if (r && !wide.matches) location.assign($('a', r).href); else { $('#main')?.focus(); $('.card-page')?.scrollTo(0, 0); } },
  escape: () => { marked.clear(); mark(); const f = $('#filter'); if (f?.value) { f.value = ''; filter(); } },
  1: () => $('[data-tab=needs]')?.click(), 2: () => $('[data-tab=watching]')?.click(), 3: () => $('[data-tab=decided]')?.click(),
};

doc.addEventListener('input', e => { if (e.target.name?.startsWith('standing_')) { oftener(); later(foresee, 250); if (!e.target.form?.elements.standing_uses?.value.trim()) refresh(); } });

doc.addEventListener('keydown', e => {
  if (e.metaKey || e.ctrlKey || e.altKey || e.isComposing) return;
  const k = e.key.toLowerCase(), el = e.target;
  if (el.closest('dialog')) return;
  if (el.closest('input, textarea, select')) {
    if (k === 'escape') { if (el.id === 'filter') { el.value = ''; filter(); } calm(); el.blur(); e.preventDefault(); }
    if (k === 'enter' && el.id === 'filter') { el.blur(); const r = shownRows()[0]; if (r) pick(r); e.preventDefault(); }
    return;
  }
  if (k === 'enter' && el.closest('a, button, summary')) { if (!el.closest('.row')) return; }
  if (going > Date.now()) {
    going = 0;
    const to = $(`.rail [data-go="${CSS.escape(k)}"]`);
    if (to) { e.preventDefault(); location.assign(to.href); }
    return; // a key that leads nowhere does nothing else either
  }
  const f = page === 'approvals' ? keys[k] ?? everywhere[k] : everywhere[k];
  if (!f || e.repeat && 'adx/?gz'.includes(k)) return;
  e.preventDefault();
  f();
});

doc.addEventListener('click', e => {
  const el = e.target.closest('a, button');
  if (!el) return;
  if (el.id === 'theme') {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    doc.cookie = `assent-theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict${location.protocol === 'https:' ? '; secure' : ''}`;
  } else if (el.id === 'zonesw' || el.classList.contains('zonesw')) switchZone();
  else if (el.id === 'hold') hold(el);
  else if (el.id === 'verify-again') prove();
  else if (el.id === 'helpb') $('#help').showModal();
  else if (el.id === 'pushb') subscribe(el);
  else if (el.id === 'confirm-no') $('#confirm').close();
  else if (el.id === 'confirm-yes') decide('approve', true);
  else if (el.closest('.row') && wide.matches && !e.metaKey && !e.ctrlKey && !e.shiftKey) { e.preventDefault(); pick(el.closest('.row')); }
});

doc.addEventListener('submit', e => {
  const f = e.target;
  if (f.id === 'decide') {
    e.preventDefault();
    // Enter in the field answers only a denial that was begun with D: it must never guess.
    const typed = doc.activeElement?.id === 'reason' && e.submitter?.value === 'deny' && !clicked;
    if (typed && !f.classList.contains('denying')) return toast('Press Deny or Approve: Enter alone decides nothing.', true);
    decide(e.submitter?.value === 'approve' ? 'approve' : 'deny');
  } else if (f.id === 'newkey') {
    e.preventDefault();
    register(f, e.submitter?.value);
  } else if (f.id === 'bulk') {
    e.preventDefault();
    const r = f.elements.reason.value.trim();
    if (!r) return toast('A denial needs a reason.', true);
    f.elements.reason.value = '';
    denyMarked(r);
  }
});
let clicked = false; // a pointer pressed the button that submits, Enter did not
doc.addEventListener('pointerdown', e => { clicked = !!e.target.closest('#decide button'); }, true);
doc.addEventListener('keydown', e => { if (e.key === 'Enter') clicked = !!e.target.closest('#decide button'); }, true);
doc.addEventListener('input', e => { if (e.target.id === 'filter') filter(); });
doc.addEventListener('visibilitychange', () => { if (!doc.hidden) refresh(); });

readClock($('.rail'));
$('.rooms [aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' }); // on a phone the rooms scroll
decorate();
listen();
stream();
if ($('#stream')) setInterval(rate, 1000);
prove();
back();
setInterval(times, 1000);
