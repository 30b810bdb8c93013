// Texts whose contrast is below WCAG 2's AA: 4.5 to 1, for large ones 3 to 1. Disabled controls are exempt there.
const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const channels = (color) => {
  paint.clearRect(0, 0, 1, 1);
  paint.fillStyle = color;
  paint.fillRect(0, 0, 1, 1);
  return paint.getImageData(0, 0, 1, 1).data;
};
const luminance = (rgb) => [...rgb].slice(0, 3).map((part) => part / 255)
  .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const background = (element) => {
  for (let each = element; each !== null; each = each.parentElement) {
    const box = each.tagName === "g" ? [...each.children].find((child) => child.tagName === "rect") : null;
    const style = getComputedStyle(box ?? each);
    const color = box ? style.fill : style.backgroundColor;
    if (channels(color)[3] === 255) {
      return color;
    }
  }
  return "white";
};
const found = new Set();
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  const box = element.getBoundingClientRect();
  if (!texts.currentNode.data.trim() || box.width <= 1 || element.closest("title, desc, button:disabled, noscript")) {
    continue;
  }
  const style = getComputedStyle(element);
  const color = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
  const [light, dark] = [luminance(channels(color)), luminance(channels(background(element)))].sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) {
    found.add(`${texts.currentNode.data.trim().slice(0, 40)}: ${ratio.toFixed(2)} (${color} on ${background(element)})`);
  }
}
return [...found];
