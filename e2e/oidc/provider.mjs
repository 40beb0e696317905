// A certified OpenID provider for the conformance test. Loopback only, no
// passwords: who types a name is signed in as that account, if it exists.
//
//   node provider.mjs PORT REDIRECT_URI ACCOUNTS.json
//
// ACCOUNTS.json is read anew each time: {"mira": {"name": "Mira", "groups": ["g1"], "disabled": false}}
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [port, redirect, accounts] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const known = () => JSON.parse(readFileSync(accounts, 'utf8'));

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'assent', client_secret: 'a secret of 32 bytes or more, for tests', redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  }],
  claims: { openid: ['sub'], profile: ['name', 'groups'] },
  cookies: { keys: ['only for tests'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (ctx, sub) => {
    const a = known()[sub];
    return a && !a.disabled ? { accountId: sub, claims: () => ({ sub, name: a.name, groups: a.groups }) } : undefined;
  },
  // Every client that may refresh gets a token for it; the default asks for consent to offline_access.
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
});

// interaction signs in by a name and consents to everything.
async function interaction(req, res) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
  if (prompt.name === 'login' && req.method !== 'POST') {
    res.setHeader('content-type', 'text/html');
    res.end('<!doctype html><title>Test provider</title><form method="post"><input id="login" name="login"><button id="go">Sign in</button></form>');
    return;
  }
  if (prompt.name === 'login') {
    let body = '';
    for await (const chunk of req) body += chunk;
    const accountId = new URLSearchParams(body).get('login');
    await provider.interactionFinished(req, res, { login: { accountId } }, { mergeWithLastSubmission: false });
    return;
  }
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  await provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

const handle = provider.callback();
createServer((req, res) => {
  if (!req.url.startsWith('/interaction/')) return handle(req, res);
  return interaction(req, res).catch((err) => { res.statusCode = 500; res.end(String(err)); });
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
