// What the browser tests stand on: processes in a folder of their own, ended with it.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(here, '..', '..', process.env.CARGO_TARGET_DIR ?? 'target');
export const program = process.env.OXPOST ?? join(target, 'release', 'oxpost');
export const modules = join(target, 'browser');
const peers = join(target, 'peers');
const PATIENCE = 60_000;

const running = [];
const folders = [];

export function folder() {
  const made = mkdtempSync(join(tmpdir(), 'oxpost-browser-'));
  folders.push(made);
  return made;
}

// Starts a program; resolves with what `pattern` finds in its output. Output is kept for the report of a failure.
export function start(command, args, pattern, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  running.push(child);
  child.output = '';
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${command}: not ready in time\n${child.output}`)), PATIENCE);
    const hear = (octets) => {
      child.output += octets;
      const found = pattern.exec(child.output);
      if (!found) return;
      clearTimeout(late);
      resolve([found, child]);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('exit', (code) => reject(new Error(`${command} ended with ${code}\n${child.output}`)));
  });
}

export async function end() {
  for (const child of running) {
    if (child.exitCode !== null) continue;
    const gone = new Promise((resolve) => { child.once('exit', resolve); });
    child.kill('SIGTERM');
    await gone;
  }
  for (const made of folders) rmSync(made, { recursive: true, force: true });
}

// A port that nobody uses, below those that the system gives to outgoing connections; no two calls give the same one.
let nextPort = 12_000 + (process.pid % 80) * 100;
export async function freePort() {
  for (;;) {
    nextPort += 1;
    const port = nextPort;
    const isFree = await new Promise((resolve) => {
      const server = net.createServer().once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

// The practice tenant with its gateway. Returns the link into the page, the SMTP port, and how mail is read.
export async function practice() {
  const [found, child] = await start(program, ['try'], /smtp:\/\/127\.0\.0\.1:(\d+)[\s\S]*?(http:\/\/localhost:\d+\/enter\?key=\S+)/);
  const reads = () => /IMAP at 127\.0\.0\.1:(\d+), .*login (\S+), password `([^`]+)`/.exec(child.output);
  while (!reads()) await new Promise((resolve) => { child.stdout.once('data', resolve); });
  const [, imap, login, password] = reads();
  return { smtp: Number(found[1]), link: found[2], imap: Number(imap), login, password };
}

// A program that reads: logged in by IMAP. `gone` is kept when the connection ends.
export function read({ imap, login, password }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(imap, '127.0.0.1', () => socket.write(`a LOGIN ${login} ${password}\r\n`));
    const gone = new Promise((end) => { socket.once('close', end); });
    let heard = '';
    socket.on('data', (octets) => {
      heard += octets;
      if (heard.includes('a OK ')) resolve({ gone });
      if (/^a (NO|BAD) /m.test(heard)) reject(new Error(`IMAP: ${heard}`));
    });
    socket.on('error', reject);
  });
}

// npm's oidc-provider at https://login.test: another site than localhost. Tokens are fetched at its loopback port.
export async function identity(...redirects) {
  const at = folder();
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=login.test', '-addext', 'subjectAltName=DNS:login.test', '-keyout', join(at, 'key.pem'),
    '-out', join(at, 'cert.pem')], { stdio: 'ignore' });
  const [pages, tokens] = [await freePort(), await freePort()];
  await start('node', [join(here, 'identity.mjs'), pages, tokens, peers, at, ...redirects], /ready/);
  return { authorize: `https://login.test:${pages}/auth`, token: `http://127.0.0.1:${tokens}/token`, pages };
}

// A gateway that signs in at that provider. Nobody answers on its way out, so its mail waits.
export async function gateway(port, provider, more = '') {
  const at = folder();
  const [smtp, nobody] = [await freePort(), await freePort()];
  const file = join(at, 'oxpost.toml');
  writeFileSync(file, `data = "data"
hostname = "gateway.test"

[admin]
listen = "localhost:${port}"
${more}

[provider.login-test]
kind = "custom"
authorize_url = "${provider.authorize}"
token_url = "${provider.token}"
client_id = "gateway"
client_secret = { file = "secret" }
scopes = "openid offline_access mail"
${provider.redirect ? `redirect_uri = "${provider.redirect}"` : ''}
smtp_host = "127.0.0.1"
smtp_port = ${nobody}

[account.scanner]
provider = "login-test"
mailbox = "scanner@login.test"
send = ["smtp"]

[account.reports]
provider = "login-test"
mailbox = "reports@login.test"
send = ["smtp"]

[[listener]]
listen = "127.0.0.1:${smtp}"
tls = "auto"

[[client]]
name = "floor-2-printers"
networks = ["127.0.0.0/8"]
accounts = ["scanner", "reports"]

[[client]]
name = "accounting"
login = "accounting"
password = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$Z/ZEVyqHfXgBoGNWJSBxgO7u2mIsYnc6rX35pVHCrkQ"
accounts = ["reports"]
`);
  writeFileSync(join(at, 'secret'), 'gateway-secret', { mode: 0o600 });
  const [found, child] = await start(program, ['serve', '--config', file], /(http:\/\/localhost:\d+\/enter\?key=[\w-]+)[\s\S]*ready/);
  return { link: found[1], smtp, file, child };
}

// One message by plain SMTP. Resolves with its queue id.
export function send(port, from, to, content) {
  const lines = ['HELO browser-test', `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, 'DATA', `${content}\r\n.`, 'QUIT'];
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let [heard, id] = ['', null];
    socket.on('data', (octets) => {
      heard += octets;
      if (!heard.endsWith('\n')) return;
      const reply = heard.trim();
      heard = '';
      id = /queued as (\w+)/.exec(reply)?.[1] ?? id;
      if (!/^[23]/.test(reply)) reject(new Error(`SMTP: ${reply}`));
      const line = lines.shift();
      if (line) socket.write(`${line}\r\n`); else resolve(id);
    });
    socket.on('error', reject);
  });
}

export function letter(from, to, subject, name = 'Scanner') {
  return `From: "${name}" <${from}>\r\nTo: <${to}>\r\nSubject: ${subject}\r\n\r\nA page.`;
}

