// Visible texts with a contrast below 4.5 (WCAG 2.2, 1.4.3), whatever their size.
() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colour, behind) => {
    for (const each of [`rgb(${behind.join(" ")})`, colour]) {
      paint.fillStyle = each;
      paint.fillRect(0, 0, 1, 1);
    }
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const light = ([red, green, blue]) =>
    0.2126 * linear(red / 255) + 0.7152 * linear(green / 255) + 0.0722 * linear(blue / 255);
  const ground = (element) =>
    element ? over(getComputedStyle(element).backgroundColor, ground(element.parentElement)) : [255, 255, 255];
  const ratio = (element) => {
    const back = ground(element);
    const lights = [light(back), light(over(getComputedStyle(element).color, back))];
    return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
  };
  const holdsText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.querySelectorAll("body *")]
    .filter((element) => holdsText(element) && element.offsetParent && !element.disabled)
    .map((element) => [element.textContent.slice(0, 40), element.className, ratio(element)])
    .filter(([, , found]) => found < 4.5);
};
