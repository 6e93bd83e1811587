// The page in a real browser: Debian's chromium. `./test` runs it; alone: `node tests/browser/main.mjs`, with OXPOST
// for another program than target/release/oxpost. Screenshots of every page go to target/browser/shots.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { end, freePort, gateway, identity, letter, modules, practice, read, send } from './house.mjs';

const require = createRequire(join(modules, 'package.json'));
const { chromium } = require('playwright-core');
const { AxeBuilder } = require('@axe-core/playwright');

const shots = join(modules, 'shots');
mkdirSync(shots, { recursive: true });

const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
const LOOKS = ['light', 'dark'];
const HOSTILE = '</title><script>document.title="taken"</script><img src=x onerror=\'document.title="taken"\'>';

let browser;
let tenant;
let provider;
let house;
// A redirect URI with a port and path of its own.
let ownPort;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--host-resolver-rules=MAP login.test 127.0.0.1', '--disable-dev-shm-usage'],
  });
  const [port, own] = [await freePort(), await freePort()];
  ownPort = `http://127.0.0.1:${own}/authorize/`;
  provider = await identity(`http://localhost:${port}/`, ownPort);
  [tenant, house] = await Promise.all([practice(), gateway(port, provider)]);
  house.origin = new URL(house.link).origin;
  tenant.origin = new URL(tenant.link).origin;
});

after(async () => {
  await browser?.close();
  await end();
});

// A browser with nothing in it. Whatever its pages complain about is kept.
async function fresh(options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: SIZES.desktop, ...options });
  const page = await context.newPage();
  page.complaints = [];
  const ours = (message) => message.location().url.startsWith('http://localhost:');
  page.on('console', (message) => { if (message.type() === 'error' && ours(message)) page.complaints.push(message.text()); });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  return page;
}

// The links are good once: more come from the same cookie.
async function enter(page, place) {
  if (!place.state) {
    await page.goto(place.link);
    await page.waitForURL(`${place.origin}/`);
    place.state = await page.context().storageState();
  } else {
    await page.context().addCookies(place.state.cookies);
    await page.goto(`${place.origin}/`);
  }
}

// A page that one comes by on the way to another: in every look and size, with what each of them must hold.
async function shoot(page, name) {
  for (const look of LOOKS) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.emulateMedia({ colorScheme: look });
      await page.setViewportSize(viewport);
      await examine(page, name, look, size);
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(SIZES.desktop);
}

async function examine(page, name, look, size) {
  await page.screenshot({ path: join(shots, `${name}-${look}-${size}.png`), fullPage: true });
  await serious(page, `${name}, ${look}, ${size}`);
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(sideways <= 0, `${name}, ${size}: ${sideways} pixels wider than the window`);
}

// Keeps the browser where it is when a page leads on by itself, until the returned function is called.
async function hold(page, where) {
  await page.route(where, (route) => route.fulfill({ status: 204 }));
  return () => page.unroute(where);
}

async function serious(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const told = bad.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  assert.deepEqual(told, [], `${what}: axe-core`);
}

test('the first sign-in takes five clicks: link, sign in, name, consent, and back', async () => {
  const page = await fresh();
  let clicks = 0;
  const click = async (locator) => { clicks += 1; await locator.click(); };
  clicks += 1; // the link in the terminal; the page behind it goes on by itself
  await page.goto(house.link);
  await page.waitForURL(`${house.origin}/`);
  house.state = await page.context().storageState();
  assert.equal(await page.locator('.account.bad').count(), 2, 'both accounts must be signed in');
  await click(page.getByRole('button', { name: 'Sign scanner in' }));
  await page.waitForURL(/login\.test/);
  assert.equal(await page.locator('input[name=login]').inputValue(), 'scanner@login.test', 'the mailbox is filled in');
  await click(page.getByRole('button', { name: 'Next' }));
  await click(page.getByRole('button', { name: 'Accept' }));
  await page.getByRole('heading', { name: 'scanner is signed in' }).waitFor();
  await page.waitForURL((url) => url.search === ''); // code and state leave the address bar
  await click(page.getByRole('link', { name: 'Go on to scanner' }));
  await page.waitForURL(`${house.origin}/accounts/scanner`);
  assert.ok(clicks <= 5, `${clicks} clicks`);
  await page.getByText('works', { exact: true }).waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a redirect URI with a port of its own is listened on while somebody signs in', async () => {
  const other = await gateway(await freePort(), { ...provider, redirect: ownPort });
  const page = await fresh();
  await page.goto(other.link);
  await page.getByRole('button', { name: 'Sign scanner in' }).click();
  await page.waitForURL(/login\.test/);
  assert.equal(new URL(page.url()).hostname, 'login.test');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('heading', { name: 'scanner is signed in' }).waitFor();
  assert.equal(new URL(page.url()).host, new URL(other.link).host, 'the browser is back at the page');
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a refused consent is explained, and the account is as it was', async () => {
  const page = await fresh();
  await enter(page, house);
  const go = await hold(page, /login\.test/);
  await page.getByRole('button', { name: 'Sign reports in' }).click();
  await page.getByText('within 2 minutes').waitFor();
  await shoot(page, 'onward');
  await go();
  await page.getByRole('link', { name: 'Go to login-test' }).click();
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByRole('button', { name: 'Refuse' }).click();
  await page.getByRole('heading', { name: 'reports is not signed in' }).waitFor();
  await shoot(page, 'answer-refused');
  await page.getByRole('link', { name: 'Back to reports' }).click();
  await page.getByText('must be signed in').waitFor();
  await page.context().close();
});

test('an answer with another state, or in another browser, changes nothing', async () => {
  const page = await fresh();
  await enter(page, house);
  await page.getByRole('button', { name: 'Sign reports in' }).click();
  await page.getByRole('button', { name: 'Next' }).click();
  // The answer is held back: the redirect to the gateway never leaves the browser.
  const cdp = await page.context().newCDPSession(page);
  const held = new Promise((resolve) => { cdp.on('Fetch.requestPaused', resolve); });
  await cdp.send('Fetch.enable', { patterns: [{ urlPattern: `${house.origin}/*code=*` }] });
  await page.getByRole('button', { name: 'Accept' }).click({ noWaitAfter: true });
  const { request: { url: answer }, requestId } = await held;
  await cdp.send('Fetch.failRequest', { requestId, errorReason: 'Aborted' });
  await cdp.send('Fetch.disable');
  const forged = new URL(answer);
  forged.searchParams.set('state', 'somebody-elses-state');
  await page.goto(forged.href);
  await page.getByRole('heading', { name: 'did not begin here' }).waitFor();
  const other = await fresh();
  await other.goto(answer);
  await other.getByRole('heading', { name: 'did not begin here' }).waitFor();
  await page.goto(answer);
  await page.getByRole('heading', { name: 'reports is signed in' }).waitFor();
  await shoot(page, 'answer');
  await other.context().close();
  await page.context().close();
});

test('a test message is followed until it is relayed', async () => {
  const page = await fresh();
  await enter(page, tenant);
  await page.getByRole('link', { name: 'billing' }).click();
  await page.getByLabel('To', { exact: true }).fill('alice@practice.example');
  await page.getByRole('button', { name: 'Send it and follow it' }).click();
  await page.locator('.pill.good').first().waitFor();
  await page.getByText('Attempt 1').waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('without a script the main paths work', async () => {
  const page = await fresh({ javaScriptEnabled: false });
  await page.context().addCookies(tenant.state.cookies);
  await page.goto(`${tenant.origin}/accounts/scanner`);
  await page.getByRole('button', { name: 'Sign in with this browser' }).click();
  await page.getByRole('button', { name: /scanner@practice/ }).click();
  await page.getByRole('heading', { name: 'scanner is signed in' }).waitFor();
  await page.getByRole('link', { name: 'Go on to scanner' }).click();
  await page.getByLabel('To', { exact: true }).fill('alice@practice.example');
  await page.getByRole('button', { name: 'Send it and follow it' }).click();
  await page.locator('.pill.good').first().waitFor({ timeout: 30_000 });
  await page.getByRole('link', { name: 'Messages', exact: true }).first().click();
  await page.getByLabel('Which').selectOption('Everything');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.locator('.line').nth(2).waitFor();
  await page.goto(house.origin);
  const cookies = house.state.cookies;
  await page.context().addCookies(cookies);
  await page.goto(`${house.origin}/accounts/reports/paste`);
  await page.getByRole('button', { name: 'Begin the sign-in' }).click();
  const url = await page.getByRole('link', { name: 'Open the sign-in page' }).getAttribute('href');
  assert.match(url, /^https:\/\/login\.test/);
  await page.getByLabel('The whole address').fill('http://localhost:1/?error=access_denied&state=guess');
  await page.getByRole('button', { name: 'Finish the sign-in' }).click();
  await page.getByRole('alert').waitFor();
  await page.context().close();
});

test('a code is shown, and the page notices that it was used', async () => {
  const page = await fresh();
  await enter(page, tenant);
  await page.goto(`${tenant.origin}/accounts/scanner/device`);
  await page.getByRole('button', { name: 'Get a code' }).click();
  await page.getByRole('heading', { name: 'Type this code' }).waitFor();
  await shoot(page, 'device');
  // On the phone, say: another browser, which knows nothing of the page.
  const phone = await fresh({ viewport: SIZES.phone });
  await phone.goto(await page.locator('.steps a').first().getAttribute('href'));
  await phone.getByRole('textbox').fill(await page.locator('.code code').textContent());
  await phone.getByRole('button', { name: /scanner@practice/ }).click();
  await phone.getByText('Done.').waitFor();
  await page.getByText('scanner is signed in.').waitFor();
  await shoot(page, 'device-done');
  await page.getByRole('button', { name: 'Get another code' }).click();
  await page.getByRole('heading', { name: 'Type this code' }).waitFor();
  assert.deepEqual(page.complaints, []);
  await phone.context().close();
  await page.context().close();
});

test('a link of the log is looked at before it is used', async () => {
  const page = await fresh();
  const go = await hold(page, (url) => url.pathname === '/enter' && !url.search);
  await page.goto(`${house.origin}/enter?key=used-already`, { waitUntil: 'commit' });
  await page.getByRole('heading', { name: 'Welcome' }).waitFor();
  await shoot(page, 'enter');
  await go();
  await page.getByRole('button', { name: 'Open the page' }).click();
  await page.getByText('used already, or it is too old').waitFor();
  await page.context().close();
});

test('somebody is looked up, down to the details', async () => {
  const page = await fresh();
  await enter(page, tenant);
  await page.goto(`${tenant.origin}/people`);
  await page.locator('a.line').first().click();
  await page.getByText('User principal name').waitFor();
  await shoot(page, 'person');
  await page.context().close();
});

test('who reads is seen as it happens, and can be shown out', async () => {
  const page = await fresh();
  await enter(page, tenant);
  await page.getByRole('link', { name: 'Reading', exact: true }).click();
  await page.getByText('Nobody is reading.').waitFor();
  const program = await read(tenant);
  await page.getByRole('heading', { name: tenant.login }).waitFor();
  await page.getByText('with-login from 127.0.0.1').waitFor();
  await shoot(page, 'reading');
  await page.getByText('End it', { exact: true }).click();
  await shoot(page, 'reading-end');
  await page.getByRole('button', { name: 'End the session' }).click();
  await page.getByText('the session is ended').waitFor();
  await program.gone;
  await page.getByText('Nobody is reading.').waitFor();
  await page.goto(`${tenant.origin}/accounts/alice`);
  await page.getByRole('button', { name: 'Try to read it' }).click();
  await page.getByText('IMAP works').waitFor();
  await shoot(page, 'account-read');
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('everything can be reached and used by keyboard', async () => {
  const page = await fresh();
  await enter(page, house);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
  await page.keyboard.press('Enter');
  await page.goto(`${house.origin}/messages`);
  const reached = new Set();
  for (let presses = 0; presses < 25; presses += 1) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => document.activeElement.name || document.activeElement.textContent));
  }
  for (const wanted of ['Overview', 'Accounts', 'Events', 'Sign out', 'state', 'account', 'search', 'Show']) {
    assert.ok([...reached].some((name) => name.includes(wanted)), `${wanted} among ${[...reached]}`);
  }
  await page.context().close();
});

test('what others wrote runs no script', async () => {
  const id = await send(house.smtp, 'reports@login.test', 'eve@elsewhere.example',
    letter('reports@login.test', 'eve@elsewhere.example', HOSTILE, HOSTILE.replaceAll('"', '\\"')));
  house.hostile = id;
  const page = await fresh();
  await enter(page, house);
  for (const path of [`/messages/${id}`, '/messages?state=all', '/events', `/messages?search=${encodeURIComponent(HOSTILE)}`]) {
    await page.goto(house.origin + path);
    assert.doesNotMatch(await page.title(), /taken/);
    assert.equal(await page.locator('img[src=x]').count(), 0);
  }
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a framed page stays empty, and a foreign form changes nothing', async () => {
  const page = await fresh();
  await enter(page, house);
  await page.goto(`https://login.test:${provider.pages}/nothing`);
  const framed = await page.evaluate((origin) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.src = `${origin}/login`;
    frame.onload = () => { try { resolve(frame.contentDocument === null ? 'closed' : 'open'); } catch { resolve('closed'); } };
    document.body.append(frame);
  }), house.origin);
  assert.equal(framed, 'closed');
  await page.evaluate((origin) => {
    document.body.innerHTML = `<form method="post" action="${origin}/accounts/scanner/test"><input name="to" value="eve@elsewhere.example"></form>`;
    document.querySelector('form').submit();
  }, house.origin);
  await page.getByText('does not come from this page').waitFor();
  await page.context().close();
});

const pages = () => [
  ['overview', house, '/'],
  ['overview-busy', tenant, '/'],
  ['accounts', house, '/accounts'],
  ['account', tenant, '/accounts/scanner'],
  ['account-paste', house, '/accounts/reports/paste'],
  ['messages', tenant, '/messages?state=all'],
  ['messages-waiting', house, '/messages'],
  ['messages-none', tenant, '/messages?state=held'],
  ['message-waiting', house, `/messages/${house.hostile}`],
  ['reading-none', house, '/reading'],
  ['people', tenant, '/people'],
  ['people-none', house, '/people'],
  ['events', house, '/events'],
  ['no-such-page', house, '/nothing'],
];

for (const look of LOOKS) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    test(`every page, ${look}, ${size}`, async () => {
      const page = await fresh({ colorScheme: look, viewport });
      await page.goto(`${house.origin}/login`);
      await page.screenshot({ path: join(shots, `login-${look}-${size}.png`), fullPage: true });
      await serious(page, 'login');
      for (const [name, place, path] of pages()) {
        await page.context().addCookies(place.state.cookies);
        await page.goto(place.origin + path);
        await examine(page, name, look, size);
      }
      await page.context().close();
    });
  }
}
