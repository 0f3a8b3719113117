// What a person would look for by hand: labels, alternatives, names, ids, the order of headings.
() => {
  const named = (control) => control.labels?.length || control.getAttribute("aria-label");
  const controls = [...document.querySelectorAll("input, select, textarea")];
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5")].filter((heading) => heading.offsetParent);
  const levels = headings.map((heading) => Number(heading.tagName[1]));
  return {
    unlabelled: controls.filter((control) => !named(control)).map((control) => control.outerHTML),
    imagesWithoutAlt: [...document.images].filter((image) => !image.hasAttribute("alt")).length,
    namelessButtons: [...document.querySelectorAll("button")].filter((button) => !button.textContent.trim()).length,
    doubleIds: ids.filter((id, place) => ids.indexOf(id) !== place),
    skippedLevels: levels.filter((level, place) => level > (levels[place - 1] ?? 0) + 1),
    firstHeadings: levels.filter((level) => level === 1).length,
    language: document.documentElement.lang,
  };
};
