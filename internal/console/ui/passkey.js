// What the console's script asks of passkeys. The server makes every challenge
// and says what is signed; this only carries bytes to the authenticator and back.
const bytes = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
const text = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
const known = list => (list ?? []).map(c => ({ ...c, id: bytes(c.id) }));

// ask posts a form and reads the question, or throws the server's own words.
async function ask(url, fields) {
  const r = await fetch(url, { method: 'POST', body: new URLSearchParams(fields), headers: { 'X-CSRF-Token': document.body.dataset.csrf }, redirect: 'error' });
  if (!r.ok) throw new Error((await r.text()).slice(0, 400));
  return r.json();
}

const refusals = {
  NotAllowedError: 'Nothing was signed: it was cancelled, or no passkey of yours is here.',
  InvalidStateError: 'This device has a passkey of yours already.',
  SecurityError: 'The browser refuses passkeys at this address.',
};
const told = e => new Error(e instanceof DOMException ? refusals[e.name] ?? 'The authenticator did not answer.' : e.message);

function written(c) {
  const r = c.response, out = { clientDataJSON: text(r.clientDataJSON) };
  for (const k of ['attestationObject', 'authenticatorData', 'signature', 'userHandle']) if (r[k]) out[k] = text(r[k]);
  if (r.getTransports) out.transports = r.getTransports();
  return JSON.stringify({ id: c.id, rawId: text(c.rawId), type: c.type, response: out, clientExtensionResults: {} });
}

// sign has a passkey answer the question at url, and returns the form with the answer in it.
export async function sign(url, fields) {
  try {
    const q = await ask(url, fields), o = q.publicKey;
    const c = await navigator.credentials.get({ publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials: known(o.allowCredentials) } });
    return { ...fields, nonce: q.nonce, ticket: q.ticket, assertion: written(c) };
  } catch (e) { throw told(e); }
}

// create makes a new key; with older, a key the person has vouches for it. It returns the form to send.
export async function create(name, older) {
  try {
    const q = await ask('/settings/passkeys/new', {}), o = q.publicKey;
    const c = await navigator.credentials.create({ publicKey: {
      ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: known(o.excludeCredentials),
    } });
    const fields = { name, nonce: q.nonce, ticket: q.ticket, new: written(c) };
    if (!older) return fields;
    const s = await sign('/settings/passkeys/older', fields);
    return { ...fields, older: s.assertion, older_nonce: s.nonce, older_ticket: s.ticket };
  } catch (e) { throw told(e); }
}
