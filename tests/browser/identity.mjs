// An OpenID provider on a site of its own: npm's oidc-provider, which asks who signs in and for consent.
//
// usage: node identity.mjs PAGES TOKENS MODULES FOLDER REDIRECT...
//   PAGES     port of https://login.test, for browsers; certificate and key are in FOLDER
//   TOKENS    port on 127.0.0.1 for the token endpoint, without TLS
//   MODULES   the folder that holds node_modules/oidc-provider
//   REDIRECT  where the app may be sent back to, one address or more
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [pages, tokens, modules, folder, ...redirects] = process.argv.slice(2);
const { default: Provider } = await import(
  pathToFileURL(join(modules, 'node_modules', 'oidc-provider', 'lib', 'index.js')));

const provider = new Provider(`https://login.test:${pages}`, {
  clients: [{
    client_id: 'gateway',
    client_secret: 'gateway-secret',
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: redirects,
    token_endpoint_auth_method: 'client_secret_post',
  }],
  scopes: ['openid', 'offline_access', 'mail'],
  claims: { openid: ['sub', 'preferred_username'] },
  conformIdTokenClaims: false,
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, preferred_username: id }) }),
  features: { devInteractions: { enabled: false } },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  pkce: { methods: ['S256'], required: () => true },
  rotateRefreshToken: true,
});

// Who signs in is typed; consent is given or not. As providers do, in two steps.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { prompt, params } = await provider.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === 'GET') {
    const login = `<label>Mailbox <input name="login" value="${params.login_hint ?? ''}"></label><button>Next</button>`;
    const consent = '<p>May oxpost send mail for you?</p><button name="answer" value="yes">Accept</button><button name="answer" value="no">Refuse</button>';
    ctx.type = 'html';
    ctx.body = `<!doctype html><title>login.test</title><form method="post">${prompt.name === 'login' ? login : consent}</form>`;
    return undefined;
  }
  let body = '';
  for await (const piece of ctx.req) body += piece;
  const form = new URLSearchParams(body);
  let result;
  if (prompt.name === 'login') {
    result = { login: { accountId: form.get('login') } };
  } else if (form.get('answer') === 'yes') {
    const { session } = await provider.interactionDetails(ctx.req, ctx.res);
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  } else {
    result = { error: 'access_denied', error_description: 'The user refused.' };
  }
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  ctx.respond = false;
  return undefined;
});

provider.on('server_error', (ctx, error) => console.error(error));

const tls = { key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'cert.pem')) };
https.createServer(tls, provider.callback()).listen(Number(pages), '127.0.0.1', () => {
  http.createServer(provider.callback()).listen(Number(tokens), '127.0.0.1', () => console.log('ready'));
});
