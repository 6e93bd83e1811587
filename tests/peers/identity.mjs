// An OpenID provider on loopback: npm's oidc-provider, set up the way a mail provider sets up its own.
//
// usage: node identity.mjs PORT MODULES MAILBOX
//   PORT     where to listen on 127.0.0.1
//   MODULES  the folder that holds node_modules/oidc-provider
//   MAILBOX  who signs in; nobody is asked
//
// Beside the provider's own endpoints (/auth, /token, /token/introspection) there is a desk for the tests:
//   POST /desk/lifetime/SECONDS   access tokens issued from now on live that long
//   POST /desk/expire             every access token is over, its grant is not
//   POST /desk/revoke             the administrator takes every grant back
//   POST /desk/hold/WHEN          the token endpoint answers nobody any more: `before` it looks at the request, `after` it
//                                 did all there is to do, or `never` again
//   GET  /desk/held               how many requests it holds back
//   GET  /desk/key                the private key of the client `gateway-key`, PEM
//   GET  /desk/counts             how often each grant type was served, as JSON
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import http from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [port, modules, mailbox] = process.argv.slice(2);
const library = join(modules, 'node_modules', 'oidc-provider', 'lib', 'index.js');
const { default: Provider, interactionPolicy } = await import(pathToFileURL(library));

// Microsoft's tokens are about this long (2,000 characters); Postfix cuts an AUTH line at 2,048 octets.
const ACCESS_TOKEN_OCTETS = 1500;

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });

let lifetime = 3600;
let hold = 'never';
let held = 0;
const grants = new Set();
const accessTokens = new Set();
const counts = {
  authorization_code: 0, refresh_token: 0, client_credentials: 0, [DEVICE_CODE]: 0, refused: 0,
};

const policy = interactionPolicy.base();
policy.remove('consent');

const domain = mailbox.slice(mailbox.indexOf('@') + 1);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'gateway',
      client_secret: 'gateway-secret',
      application_type: 'native', // any port of a loopback redirect URI (RFC 8252 section 7.3)
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials', DEVICE_CODE],
      redirect_uris: ['http://localhost/', 'http://127.0.0.1/'],
      token_endpoint_auth_method: 'client_secret_post',
    },
    {
      client_id: 'gateway-key',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'PS256',
      jwks: { keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'key-1', use: 'sig', alg: 'PS256' }] },
    },
    {
      client_id: 'mail-server',
      client_secret: 'mail-server-secret',
      grant_types: [],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  scopes: ['openid', 'offline_access', 'mail'],
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId === 'mail-server' },
    devInteractions: { enabled: false },
  },
  // Dovecot compares these with the mailbox of the SASL exchange: a person's token opens one, an application's any of
  // the domain.
  extraTokenClaims: (ctx, token) => (
    token.accountId ? { mailbox: token.accountId, tenant: 'none' } : { mailbox: 'none', tenant: `any@${domain}` }),
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { policy, url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  // Not only with `prompt=consent`, which oidc-provider wants to see with offline_access: mail providers do not.
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: () => false,
  loadExistingGrant: async (ctx) => {
    const { accountId } = ctx.oidc.session;
    const grant = new ctx.oidc.provider.Grant({ accountId, clientId: ctx.oidc.client.clientId });
    grant.addOIDCScope(ctx.oidc.params.scope);
    grants.add(await grant.save());
    return grant;
  },
  pkce: { methods: ['S256'], required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: () => lifetime, ClientCredentials: () => lifetime },
});

for (const kind of [provider.AccessToken, provider.ClientCredentials]) {
  const { generateTokenId } = kind.prototype; // also notes the token's format
  kind.prototype.generateTokenId = function generateLongTokenId(...args) {
    const id = generateTokenId.apply(this, args);
    return id + randomBytes(ACCESS_TOKEN_OCTETS).toString('base64url');
  };
}

provider.on('grant.success', (ctx) => { counts[ctx.oidc.params.grant_type] += 1; });
provider.on('grant.error', (ctx, error) => { counts.refused += error.error === 'authorization_pending' ? 0 : 1; });
provider.on('server_error', (ctx, error) => console.error(error));

for (const event of ['access_token.saved', 'client_credentials.saved']) {
  provider.on(event, (token) => accessTokens.add(token));
}

async function expireAccessTokens() {
  for (const token of accessTokens) await token.destroy();
  accessTokens.clear();
}

async function revokeAll() {
  for (const id of grants) {
    await provider.AccessToken.revokeByGrantId(id);
    await provider.RefreshToken.revokeByGrantId(id);
    await (await provider.Grant.find(id))?.destroy();
  }
  grants.clear();
}

async function desk(ctx, [what, value]) {
  if (ctx.method === 'GET' && what === 'counts') {
    ctx.body = counts;
  } else if (ctx.method === 'GET' && what === 'key') {
    ctx.body = keys.privateKey.export({ type: 'pkcs8', format: 'pem' });
  } else if (ctx.method === 'GET' && what === 'held') {
    ctx.body = String(held);
  } else if (ctx.method === 'POST' && what === 'hold') {
    hold = value;
    held = 0;
    ctx.status = 204;
  } else if (ctx.method === 'POST' && what === 'expire') {
    await expireAccessTokens();
    ctx.status = 204;
  } else if (ctx.method === 'POST' && what === 'revoke') {
    await revokeAll();
    ctx.status = 204;
  } else if (ctx.method === 'POST' && what === 'lifetime') {
    lifetime = Number(value);
    ctx.status = 204;
  }
}

// A token endpoint whose answer never comes.
async function silence() {
  held += 1;
  await new Promise(() => {});
}

// The sign-in page of a person who is already known to the browser.
async function signIn(ctx) {
  const result = { login: { accountId: mailbox } };
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result));
}

provider.use(async (ctx, next) => {
  const [, room, ...rest] = ctx.path.split('/');
  if (room === 'desk') {
    await desk(ctx, rest);
  } else if (room === 'interaction') {
    await signIn(ctx);
  } else if (room === 'token') {
    if (hold === 'before') await silence();
    await next();
    if (hold === 'after') await silence();
  } else {
    await next();
  }
});

http.createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('ready'));
