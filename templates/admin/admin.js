// What makes the page nicer. Everything works without it.
'use strict';

// Times in the reader's own zone.
function localTimes(root) {
  const options = { dateStyle: 'medium', timeStyle: 'medium' };
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = at.toLocaleString(undefined, options);
  }
}

// A button that copies what stands before it.
function copyButtons(root) {
  if (!navigator.clipboard) return;
  for (const text of root.querySelectorAll('[data-copy]')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy';
    button.textContent = 'Copy';
    button.setAttribute('aria-label', `Copy ${text.textContent}`);
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = 'Copied';
    });
    text.after(button);
  }
}

// Parts that change while one looks are fetched again. Whoever reads or types in one is left alone.
const QUIET = 10000;
const OFTEN = 1500;

function isBusy(part) {
  const selection = document.getSelection();
  const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  return selects || part.contains(document.activeElement) || part.querySelector('details[open]');
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { 'X-Live': '1' }, redirect: 'error' });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const part of document.querySelectorAll('[data-live]')) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!next || isBusy(part)) continue;
    part.dataset.often = next.dataset.often ?? 'no';
    if (!('often' in next.dataset)) delete part.dataset.often;
    localTimes(next);
    copyButtons(next);
    if (part.innerHTML !== next.innerHTML) part.replaceChildren(...next.childNodes);
  }
}

function watch() {
  if (!document.querySelector('[data-live]')) return;
  const wait = document.querySelector('[data-often]') ? OFTEN : QUIET;
  setTimeout(async () => {
    if (!document.hidden) await refresh().catch(() => {});
    watch();
  }, wait);
}

localTimes(document);
copyButtons(document);
watch();

// A link that was opened by hand needs no second click.
document.querySelector('form[data-send]')?.requestSubmit();

// The provider's answer is spent; it need not stay in the address bar or the history.
if (document.querySelector('[data-clean]')) history.replaceState(null, '', location.pathname);
