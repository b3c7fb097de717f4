'use strict';
// Searches, filters, sorts, opens and folds the trees that stand in the <noscript> elements of a section `.trees`.
// Texts of models are set as text, or come escaped from there; nothing is loaded, kept or sent. This script runs before the trees
// are read: what asks for one that is not there yet waits for it.
(() => {
  // Trees in the list at once, and characters of a text that are shown before one asks for the rest.
  const ROWS = 100;
  const MOST_CHARACTERS = 20000;
  // Milliseconds until one looks again whether a tree has been read.
  const LOOK_AGAIN = 30;
  // What the page itself says stands in these elements, and is not searched.
  const MARKUP = /<(b|i|h4)\b[^]*?<\/\1>|<[^>]*>/g;
  const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#x27;', '/': '&#x2f;' };
  const CHARACTERS = Object.fromEntries(Object.entries(ENTITIES).map(([character, entity]) => [entity, character]));
  const escaped = (text) => text.replace(/[&<>"'/]/g, (character) => ENTITIES[character]);
  const unescaped = (text) => text.replace(/&(?:amp|lt|gt|quot|#x27|#x2f);/g, (entity) => CHARACTERS[entity]);

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function numberText(value) {
    const size = Math.abs(value);
    const text = size.toFixed(size < 0.095 ? 3 : size < 99.5 ? 2 : 1);
    return value > 0 ? `+${text}` : value < 0 ? `−${text}` : text;
  }

  const counted = (count, word) => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;

  function startViewer(root) {
    const find = (selector) => root.querySelector(selector);
    const { columns, trees } = JSON.parse(find('.trees-index').textContent);
    // Grows while the page is read.
    let sources = find('.trees-sources').getElementsByTagName('noscript');
    const form = find('.trees-controls');
    const controls = form.elements;
    const list = find('[role=listbox]');
    const pager = find('.pager');
    const keys = find('.trees-keys');
    const status = find('.trees-status');
    const openPane = find('.trees-open');

    // Numbers of the trees that the filters leave, in order; the first row of the list; the tree that is open.
    let shown = [];
    let firstRow = 0;
    let isListed = false;
    let open = -1;
    // The items of the open tree, the one that the keys move from, and the disagreement that was looked up last.
    let items = [];
    let current = null;
    let spot = null;

    // ---- which trees ----

    function fillSelect(select, values) {
      const sorted = [...new Set(values)].sort((a, b) => (a > b) - (a < b));
      select.append(...sorted.map((value) => element('option', { value, textContent: value })));
    }

    const isRead = () => document.readyState !== 'loading';
    // A source is whole once something comes after it.
    const isThere = (number) => isRead() || number + 1 < sources.length;

    function contains(number, pattern, query) {
      if (!isThere(number)) return false;
      const markup = sources[number].textContent;
      return pattern.test(markup) && unescaped(markup.replace(MARKUP, '\n')).toLowerCase().includes(query);
    }

    function isWanted(tree) {
      const [correct, , unjudged] = tree.verdicts;
      const verdict = { '': true, correct: correct > 0, incorrect: correct === 0, unjudged: unjudged > 0 };
      return (!controls.task.value || tree.task === controls.task.value)
        && (!controls.dataset.value || tree.dataset === controls.dataset.value)
        && (!controls.depth.value || tree.turns === Number(controls.depth.value))
        && verdict[controls.verdict.value];
    }

    function scoresOf(number) {
      const scores = columns.length ? trees[number].columns[Number(controls.column.value)] : null;
      if (!scores) return null;
      const [highest, lowest, gap, against] = scores;
      return { highest, lowest, gap, against };
    }

    // What trees are sorted by, highest first; those without a number come last.
    function rank(number) {
      const scores = scoresOf(number);
      if (!scores) return -Infinity;
      return { highest: scores.highest, lowest: -scores.lowest, gap: scores.gap }[controls.order.value];
    }

    function choose() {
      const query = controls.search.value.trim().toLowerCase();
      const pattern = new RegExp(escaped(query).replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'iu');
      shown = [...trees.keys()].filter((number) => isWanted(trees[number]));
      if (query) shown = shown.filter((number) => contains(number, pattern, query));
      if (columns.length && controls.order.value) shown.sort((a, b) => rank(b) - rank(a) || a - b);
      status.textContent = shown.length === trees.length
        ? ''
        : `${shown.length.toLocaleString('en')} of ${counted(trees.length, 'tree')}${query && !isRead() ? ' so far' : ''}`;
      find('[type=reset]').hidden = ![...controls].some((it) => it.name && it.name !== 'column' && it.value);
      isListed = false;
      if (shown.length) {
        openTree(shown[0]);
      } else {
        firstRow = 0;
        open = -1;
        items = [];
        openPane.replaceChildren(element('p', { className: 'none', textContent: 'No tree is like this.' }));
        renderList();
      }
    }

    // ---- the list ----

    function renderRow(number, place) {
      const tree = trees[number];
      const [correct, incorrect, unjudged] = tree.verdicts;
      const verdicts = [`✓ ${correct}`, `✗ ${incorrect}`, ...(unjudged ? [`? ${unjudged}`] : [])].join('  ');
      const row = element('li', { id: `tree-row-${number}`, tabIndex: -1 },
        element('span', { className: 'title', dir: 'auto', textContent: tree.title }),
        element('span', { className: 'meta' },
          element('bdi', { textContent: tree.id }), ' · ', element('bdi', { textContent: tree.dataset }),
          ` · ${tree.task} · ${counted(tree.turns, 'turn')}`),
        element('span', { className: 'meta', textContent: verdicts }));
      const scores = scoresOf(number);
      if (scores) {
        const range = `  ·  ${columns[Number(controls.column.value)]} ${numberText(scores.lowest)} to ${numberText(scores.highest)}`;
        row.lastChild.append(range);
        if (scores.against.length) {
          row.append(element('span', { className: 'meta disagrees', textContent: `${scores.against.length} against verdict` }));
        }
      }
      row.setAttribute('role', 'option');
      row.setAttribute('aria-setsize', shown.length);
      row.setAttribute('aria-posinset', place + 1);
      row.dataset.number = number;
      return row;
    }

    function renderList() {
      const rows = shown.slice(firstRow, firstRow + ROWS);
      isListed = true;
      list.replaceChildren(...rows.map((number, index) => renderRow(number, firstRow + index)));
      const [before, label, after] = pager.children;
      pager.hidden = shown.length <= ROWS;
      before.disabled = firstRow === 0;
      after.disabled = firstRow + ROWS >= shown.length;
      label.textContent = `${firstRow + 1} to ${firstRow + rows.length} of ${shown.length}`;
      markRow();
    }

    function markRow() {
      for (const row of list.children) {
        const selected = Number(row.dataset.number) === open;
        row.setAttribute('aria-selected', selected);
        row.tabIndex = selected ? 0 : -1;
      }
      const selected = list.querySelector('[aria-selected=true]');
      if (!selected && list.firstChild) list.firstChild.tabIndex = 0;
      return selected;
    }

    // The row of a tree in the list, on its page.
    function showRowOf(number) {
      const place = Math.max(shown.indexOf(number), 0);
      const first = place - (place % ROWS);
      if (first !== firstRow || !isListed) {
        firstRow = first;
        renderList();
      }
      const row = markRow();
      if (row) scrollWithin(list.parentElement, row);
      return row;
    }

    // Moves the list alone, and not the page around it.
    function scrollWithin(pane, row) {
      const [outer, inner] = [pane.getBoundingClientRect(), row.getBoundingClientRect()];
      if (inner.top < outer.top) pane.scrollTop -= outer.top - inner.top;
      // The pager stands over its end.
      const end = outer.bottom - pager.offsetHeight;
      if (inner.bottom > end) pane.scrollTop += inner.bottom - end;
    }

    function openByPlace(place, focus) {
      const number = shown[Math.min(Math.max(place, 0), shown.length - 1)];
      if (number === undefined) return;
      const row = openTree(number);
      if (focus) row?.focus({ preventScroll: true });
    }

    function turnPage(step) {
      openByPlace(Math.min(Math.max(firstRow + step * ROWS, 0), shown.length - 1), false);
    }

    // ---- the open tree ----

    function openTree(number) {
      open = number;
      spot = null;
      if (!isThere(number)) {
        items = [];
        current = null;
        openPane.replaceChildren(element('p', { className: 'none', textContent: 'This tree is still being read.' }));
        waitFor(number);
        return showRowOf(number);
      }
      const page = new DOMParser().parseFromString(sources[number].textContent, 'text/html');
      const tree = document.adoptNode(page.querySelector('article'));
      const back = element('button', { type: 'button', className: 'back', textContent: 'Back to the list' });
      back.addEventListener('click', focusList);
      openPane.replaceChildren(back, tree);
      const nodes = tree.querySelector('.nodes');
      nodes.setAttribute('role', 'tree');
      nodes.setAttribute('aria-label', `Steps of ${trees[number].id}`);
      items = [...nodes.children];
      items.forEach(enhance);
      numberSiblings();
      setCurrent(items[0]);
      return showRowOf(number);
    }

    // Opens a tree as soon as it is there, unless another one is asked for before.
    function waitFor(number) {
      setTimeout(() => {
        if (open !== number || items.length) return;
        if (isThere(number)) openTree(number); else waitFor(number);
      }, LOOK_AGAIN);
    }

    function enhance(item) {
      const head = item.firstElementChild;
      const body = item.lastElementChild;
      item.setAttribute('role', 'treeitem');
      item.setAttribute('aria-level', item.dataset.level);
      item.setAttribute('aria-expanded', 'true');
      item.tabIndex = -1;
      const excerpt = `${body.textContent.trim().slice(0, 200)}…`;
      head.append(element('span', { className: 'excerpt', dir: 'auto', textContent: excerpt }));
      for (const block of body.querySelectorAll('p, pre')) shorten(block);
    }

    // Those to the same history, which stand one below the other but for what follows them.
    function numberSiblings() {
      const open = [];
      const end = (siblings) => siblings.forEach((item, index) => {
        item.setAttribute('aria-setsize', siblings.length);
        item.setAttribute('aria-posinset', index + 1);
      });
      for (const item of items) {
        while (open.length > levelOf(item)) end(open.pop());
        while (open.length < levelOf(item)) open.push([]);
        open.at(-1).push(item);
      }
      open.forEach(end);
    }

    // A text of a megabyte is laid out when one asks for it.
    function shorten(block) {
      const text = block.textContent;
      if (text.length <= MOST_CHARACTERS) return;
      const rest = text.slice(MOST_CHARACTERS);
      block.textContent = text.slice(0, MOST_CHARACTERS);
      const more = element('button', { type: 'button', className: 'more' }, `Show ${counted(rest.length, 'more character')}`);
      more.addEventListener('click', () => { block.append(rest); more.remove(); });
      block.after(more);
    }

    const levelOf = (item) => Number(item.dataset.level);
    const isFolded = (item) => item.getAttribute('aria-expanded') === 'false';

    function setCurrent(item, focus) {
      if (current) {
        current.tabIndex = -1;
        current.classList.remove('current');
      }
      current = item ?? null;
      if (!item) return;
      item.tabIndex = 0;
      item.classList.add('current');
      if (focus) {
        item.focus({ preventScroll: true });
        item.firstElementChild.scrollIntoView({ block: 'nearest' });
      }
    }

    // Folds some items, and hides what follows a folded one.
    function fold(some, folded) {
      for (const item of some) item.setAttribute('aria-expanded', String(!folded));
      let below = Infinity;
      for (const item of items) {
        if (levelOf(item) <= below) below = Infinity;
        item.hidden = levelOf(item) > below;
        if (!item.hidden && isFolded(item)) below = levelOf(item);
      }
      if (current?.hidden) setCurrent(parentOf(current) ?? items[0]);
    }

    const foldAll = (folded) => fold(items.slice(1), folded);

    function parentOf(item) {
      const before = items.slice(0, items.indexOf(item)).reverse();
      return before.find((other) => levelOf(other) < levelOf(item) && !other.hidden);
    }

    function ancestorsOf(item) {
      let level = levelOf(item);
      const before = items.slice(0, items.indexOf(item)).reverse();
      return before.filter((other) => levelOf(other) < level && (level = levelOf(other), true));
    }

    // ---- numbers against verdicts ----

    function stepDisagreement(direction, focus) {
      if (!columns.length) return;
      const spots = shown.flatMap((number) => (scoresOf(number)?.against ?? []).map((node) => ({ number, node })));
      if (!spots.length) {
        status.textContent = 'No step of these trees is against its verdict.';
        return;
      }
      let at = spots.findIndex((it) => it.number === spot?.number && it.node === spot?.node);
      if (at < 0) {
        // From the open tree on.
        const places = new Map(shown.map((number, place) => [number, place]));
        at = spots.findIndex((it) => places.get(it.number) >= (places.get(open) ?? 0));
        if (at < 0) at = 0;
        if (direction > 0) at -= 1;
      }
      at = (at + direction + spots.length) % spots.length;
      const { number, node } = spots[at];
      if (number !== open) openTree(number);
      spot = spots[at];
      const item = items.find((it) => Number(it.dataset.node) === node);
      if (!item) return;
      fold([item, ...ancestorsOf(item)], false);
      setCurrent(item, focus);
      item.firstElementChild.scrollIntoView({ block: 'center' });
      status.textContent = `Disagreement ${at + 1} of ${spots.length}: tree ${trees[number].id}, node ${node}`;
    }

    // ---- keys and clicks ----

    function focusList() {
      const row = markRow() ?? list.firstChild;
      row?.focus();
    }

    function listKey(key) {
      const place = shown.indexOf(open);
      const moves = {
        ArrowDown: () => openByPlace(place + 1, true),
        ArrowUp: () => openByPlace(place - 1, true),
        Home: () => openByPlace(0, true),
        End: () => openByPlace(shown.length - 1, true),
        PageDown: () => openByPlace(place + ROWS, true),
        PageUp: () => openByPlace(place - ROWS, true),
        ArrowRight: () => setCurrent(current, true),
        Enter: () => setCurrent(current, true),
        ' ': () => setCurrent(current, true),
      };
      return moves[key];
    }

    function treeKey(key) {
      const visible = items.filter((item) => !item.hidden);
      const at = visible.indexOf(current);
      const go = (item) => item && setCurrent(item, true);
      const child = visible[at + 1] && levelOf(visible[at + 1]) > levelOf(current) ? visible[at + 1] : null;
      const siblings = () => items.filter((item) => levelOf(item) === levelOf(current) && parentOf(item) === parentOf(current));
      const moves = {
        ArrowDown: () => go(visible[at + 1]),
        ArrowUp: () => go(visible[at - 1]),
        Home: () => go(visible[0]),
        End: () => go(visible.at(-1)),
        ArrowRight: () => (isFolded(current) ? fold([current], false) : go(child)),
        ArrowLeft: () => (isFolded(current) ? go(parentOf(current)) : fold([current], true)),
        Enter: () => fold([current], !isFolded(current)),
        ' ': () => fold([current], !isFolded(current)),
        '*': () => fold(siblings(), false),
      };
      return moves[key];
    }

    function anyKey(key) {
      const inTree = openPane.contains(document.activeElement);
      const place = shown.indexOf(open);
      const keep = (place) => {
        openByPlace(place, !inTree);
        if (inTree) setCurrent(items[0], true);
      };
      const moves = {
        '/': () => controls.search.focus(),
        j: () => keep(place + 1),
        k: () => keep(place - 1),
        n: () => stepDisagreement(1, true),
        p: () => stepDisagreement(-1, true),
        f: () => foldAll(true),
        u: () => foldAll(false),
        Escape: () => focusList(),
        '?': () => { keys.open = !keys.open; },
      };
      return moves[key];
    }

    root.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { key, target } = event;
      const types = target.matches('input, select, textarea');
      if (types && !(key === 'Escape' || (key === 'Enter' && target === controls.search))) return;
      if (types && key === 'Enter') chooseNow();
      const move = types ? focusList
        : (target.matches('[role=option]') && listKey(key))
        || (target.matches('[role=treeitem]') && treeKey(key))
        || anyKey(key);
      if (!move) return;
      event.preventDefault();
      move();
    });

    list.addEventListener('click', (event) => {
      const row = event.target.closest('[role=option]');
      if (!row) return;
      openTree(Number(row.dataset.number))?.focus({ preventScroll: true });
      // On a phone the tree stands below the list.
      if (getComputedStyle(list.parentElement).position === 'static') openPane.scrollIntoView();
    });

    openPane.addEventListener('click', (event) => {
      const item = event.target.closest('[role=treeitem]');
      if (!item || event.target.closest('button') || String(getSelection())) return;
      setCurrent(item);
      item.focus({ preventScroll: true });
      if (event.target.closest('.head')?.parentElement === item) fold([item], !isFolded(item));
    });

    let waiting = 0;
    function chooseNow() {
      clearTimeout(waiting);
      choose();
    }
    form.addEventListener('submit', (event) => event.preventDefault());
    // The button that was clicked hides itself, and keys would go nowhere.
    form.addEventListener('reset', () => setTimeout(() => { chooseNow(); focusList(); }));
    form.addEventListener('change', (event) => { if (event.target !== controls.search) chooseNow(); });
    controls.search.addEventListener('input', () => {
      clearTimeout(waiting);
      waiting = setTimeout(choose, 150);
    });
    find('[name=disagreement]')?.addEventListener('click', () => stepDisagreement(1, false));
    find('[name=fold]').addEventListener('click', () => foldAll(true));
    find('[name=unfold]').addEventListener('click', () => foldAll(false));
    pager.children[0].addEventListener('click', () => turnPage(-1));
    pager.children[2].addEventListener('click', () => turnPage(1));

    fillSelect(controls.task, trees.map((tree) => tree.task));
    fillSelect(controls.dataset, trees.map((tree) => tree.dataset));
    fillSelect(controls.depth, trees.map((tree) => tree.turns));
    for (const part of [form, keys, find('.trees-bar'), find('.trees-panes')]) part.hidden = false;
    const numbers = find('.trees-numbers');
    if (numbers) numbers.open = false;
    choose();
    root.classList.add('ready');
    document.addEventListener('DOMContentLoaded', () => {
      sources = [...sources];
      if (controls.search.value) choose();
      else if (open >= 0 && !items.length) openTree(open);
    });
  }

  startViewer(document.currentScript.closest('section.trees'));
})();
