// Checks in the browser that a record stands in the signed log, trusting the
// server for nothing but the bytes that it sends: the leaf is hashed here, the
// path to the root walked here (RFC 6962, section 2.1.1), the checkpoint's
// signature checked here (C2SP signed-note, Ed25519), and the key compared with
// the one that this browser has seen before.
const text = new TextEncoder();
const bytes = b64 => Uint8Array.from(atob(b64), c => c.charCodeAt(0));
const b64 = b => btoa(String.fromCharCode(...b));
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
const pinned = 'assent-log-key';

async function sha256(...parts) {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) { all.set(p, at); at += p.length; }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', all));
}

const ZERO = Uint8Array.of(0), ONE = Uint8Array.of(1);

// rootOf walks from a leaf's hash up; null: the path doesn't fit a tree of that size.
export async function rootOf(leaf, index, size, path) {
  let fn = BigInt(index), sn = BigInt(size) - 1n, r = leaf;
  if (fn < 0n || fn > sn) return null;
  for (const p of path) {
    if (sn === 0n) return null;
    if (fn & 1n || fn === sn) {
      r = await sha256(ONE, p, r);
      while (!(fn & 1n) && fn !== 0n) { fn >>= 1n; sn >>= 1n; }
    } else {
      r = await sha256(ONE, r, p);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n ? r : null;
}

// parse reads a C2SP tlog-proof.
export function parse(proof) {
  const cut = proof.indexOf('\n\n');
  const head = proof.slice(0, cut).split('\n'), note = proof.slice(cut + 2);
  if (cut < 0 || head.shift() !== 'c2sp.org/tlog-proof@v1') throw new Error('The proof is in a form that this page does not know.');
  if (head[0]?.startsWith('extra ')) head.shift();
  const index = /^index (\d{1,16})$/.exec(head.shift() ?? '');
  const end = note.indexOf('\n\n');
  if (!index || end < 0) throw new Error('The proof is in a form that this page does not know.');
  const body = note.slice(0, end + 1), [origin, size, root] = body.split('\n');
  if (!/^\d{1,16}$/.test(size)) throw new Error('The checkpoint has no size.');
  const signatures = note.slice(end + 2).split('\n').filter(Boolean).map(l => {
    const m = /^\u2014 (\S+) ([A-Za-z0-9+/=]+)$/.exec(l);
    const b = m && bytes(m[2]);
    return m && b.length > 4 ? { name: m[1], id: b.slice(0, 4), signature: b.slice(4) } : null;
  }).filter(Boolean);
  return { index: Number(index[1]), path: head.map(bytes), body, origin, size: Number(size), root: bytes(root), signatures };
}

const hex = b => [...b].map(x => x.toString(16).padStart(2, '0')).join('');

// keyOf reads a verifier key ("name+id+key"); its id must be that of its key.
async function keyOf(vkey) {
  const [name, id, ...rest] = vkey.split('+'), b = bytes(rest.join('+'));
  if (b[0] !== 1 || b.length !== 33) throw new Error(`The log's key ${name} is of a kind that this page does not know.`);
  const own = (await sha256(text.encode(name + '\n'), b)).slice(0, 4);
  if (hex(own) !== id) throw new Error(`The log's key ${name} does not have the id it is given with.`);
  return { name, id, idBytes: own, raw: b.slice(1), vkey };
}

async function signedBy(p, vkeys) {
  for (const v of vkeys) {
    const k = await keyOf(v);
    for (const s of p.signatures.filter(s => s.name === k.name && same(s.id, k.idBytes))) {
      const key = await crypto.subtle.importKey('raw', k.raw, { name: 'Ed25519' }, false, ['verify']);
      if (await crypto.subtle.verify({ name: 'Ed25519' }, key, s.signature, text.encode(p.body))) return k;
    }
  }
  return null;
}

// known compares with the key this browser saw first, which no server can change later.
function known(k) {
  const was = JSON.parse(localStorage.getItem(pinned) ?? 'null');
  if (!was) {
    localStorage.setItem(pinned, JSON.stringify({ vkey: k.vkey, since: new Date().toISOString() }));
    return { state: 'warn', what: 'The key is new to this browser', more: 'It is remembered from now on. Compare its id once with that of the key you give to assent verify --key.' };
  }
  if (was.vkey === k.vkey) return { state: 'ok', what: `The key is the one this browser has known since ${was.since.slice(0, 10)}` };
  return { state: 'bad', what: 'It is another key than this browser has known', more: `Since ${was.since.slice(0, 10)} it was ${was.vkey.split('+').slice(0, 2).join('+')}. Unless the log's key was rotated, this log is another one.` };
}

async function get(url, kind) {
  for (let i = 0; ; i++) {
    const r = await fetch(url);
    if (r.ok) return r[kind]();
    if (r.status !== 409 || i === 5) throw new Error((await r.text()).slice(0, 200));
    await new Promise(done => setTimeout(done, 1000)); // the next checkpoint covers it
  }
}

export async function verify(of, index, vkeys) {
  if (!globalThis.crypto?.subtle) throw new Error('This page is not on https or localhost, so the browser lends it no cryptography. assent verify checks the log offline.');
  const leaf = new Uint8Array(await get(`${of}/leaf`, 'arrayBuffer')), p = parse(await get(`${of}/proof`, 'text'));
  const hash = await sha256(ZERO, leaf), steps = [];
  if (p.index !== index || JSON.parse(new TextDecoder().decode(leaf)).index !== index) throw new Error('The server sent the proof of another record.');
  steps.push({ state: 'ok', what: 'Hashed the record as it was sent', more: b64(hash) });
  const root = await rootOf(hash, p.index, p.size, p.path);
  const holds = root && same(root, p.root);
  steps.push(holds
    ? { state: 'ok', what: `${p.path.length} hashes lead to the root of ${p.size.toLocaleString('en-US')} records`, more: b64(root) }
    : { state: 'bad', what: 'The path does not lead to the signed root', more: 'The record is not in the log that was signed. Keep what you see, and run assent verify.' });
  let k;
  try {
    k = await signedBy(p, vkeys);
  } catch (e) {
    if (e.name !== 'NotSupportedError') throw e;
    steps.push({ state: 'warn', what: 'This browser knows no Ed25519', more: 'The signature was not checked here. assent verify checks it.' });
    return steps;
  }
  steps.push(k
    ? { state: 'ok', what: `The checkpoint is signed by ${k.name}`, more: `Ed25519, key id ${k.id}` }
    : { state: 'bad', what: 'No key of the log signed this checkpoint', more: p.origin });
  if (k) steps.push(known(k));
  return steps;
}
