// Building the page. Text enters it only as text nodes and attribute values, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `attributes`: null, undefined and false are left out, true becomes an empty attribute. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Text for screen readers only. */
export function unseen(text) {
  return h("span", { class: "visually-hidden" }, text);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}

/**
 * Makes `current` look like `wanted` by the smallest changes, so that focus, selection, scroll positions and opened
 * details survive an update. Children with the same `data-key` are taken for the same thing.
 */
function morph(current, wanted) {
  morphAttributes(current, wanted);
  morphChildren(current, wanted);
}

/** Replaces everything inside `parent` by `children`, by the smallest changes. */
export function render(parent, ...children) {
  const wanted = parent.cloneNode(false);
  fill(wanted, null, children);
  morphChildren(parent, wanted);
}

// Attributes that the browser or the user changes, and that an update must leave alone.
const LIVE = new Set(["open", "data-said"]);

function morphAttributes(current, wanted) {
  for (const { name, value } of wanted.attributes) {
    if (current.getAttribute(name) !== value && !LIVE.has(name)) {
      current.setAttribute(name, value);
    }
  }
  for (const { name } of [...current.attributes]) {
    if (!wanted.hasAttribute(name) && !LIVE.has(name)) {
      current.removeAttribute(name);
    }
  }
}

function morphChildren(current, wanted) {
  const keyed = new Map();
  for (const child of current.children) {
    if (keyOf(child) !== null) {
      keyed.set(keyOf(child), child);
    }
  }
  let place = current.firstChild;
  for (const child of [...wanted.childNodes]) {
    const known = keyOf(child) === null ? null : keyed.get(keyOf(child));
    if (known && alike(known, child)) {
      if (known !== place) {
        current.insertBefore(known, place);
      }
      morph(known, child);
      place = known.nextSibling;
    } else if (place !== null && keyOf(place) === null && keyOf(child) === null && alike(place, child)) {
      if (place.nodeType === Node.TEXT_NODE) {
        if (place.data !== child.data) {
          place.data = child.data;
        }
      } else {
        morph(place, child);
      }
      place = place.nextSibling;
    } else {
      current.insertBefore(child, place);
    }
  }
  while (place !== null) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName;
}
