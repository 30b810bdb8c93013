// What a screen reader or a keyboard would stumble over.
const found = [];
const name = (element) => (element.getAttribute("aria-label") ?? "").trim() || element.textContent.trim() ||
  (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join("").trim() ||
  [...(element.labels ?? [])].map((label) => label.textContent).join("").trim();
for (const element of document.querySelectorAll("button, a, input, [role=img], [role=region], [role=group], dialog, table, nav, section")) {
  if (!name(element)) {
    found.push(`without a name: ${element.outerHTML.slice(0, 120)}`);
  }
}
for (const element of document.querySelectorAll("[onclick], [tabindex]:not([tabindex='0']):not([tabindex='-1']), [data-action]:not(button)")) {
  found.push(`no button, or out of order: ${element.outerHTML.slice(0, 120)}`);
}
for (const attribute of ["aria-labelledby", "aria-describedby"]) {
  for (const element of document.querySelectorAll(`[${attribute}]`)) {
    for (const id of element.getAttribute(attribute).split(" ")) {
      if (document.getElementById(id) === null) {
        found.push(`${attribute} points nowhere: ${id}`);
      }
    }
  }
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
ids.filter((id, index) => ids.indexOf(id) !== index).forEach((id) => found.push(`twice: #${id}`));
for (const wanted of ["main", "header", "footer", "h1", "html[lang]", "title"]) {
  if (document.querySelectorAll(wanted).length === 0) {
    found.push(`there is no ${wanted}`);
  }
}
if (document.querySelectorAll("h1").length > 1) {
  found.push("more than one h1");
}
return found;
