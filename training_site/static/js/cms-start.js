// The content admin starts some of its widgets by small scripts inside the page, which our policy does not run. The same
// calls stand in the page as data instead (training_site/cms.py); this runs them as soon as they are there, also in the
// parts of a form that are added later and in dialogs.
(function () {
  function start(mark) {
    if (!mark.isConnected) return; // seen before, as part of what was added around it
    const { cmsStart, cmsCall, cmsId, cmsOptions } = mark.dataset;
    const name = cmsStart || cmsCall;
    if (!/^[A-Za-z]+$/.test(name) || typeof window[name] !== "function") return;
    mark.remove();
    const args = [];
    if (cmsId !== undefined) args.push(cmsId);
    if (cmsOptions !== undefined) args.push(JSON.parse(cmsOptions));
    if (cmsStart) new window[name](...args);
    else window[name](...args);
  }

  const MARKS = "template[data-cms-start], template[data-cms-call]";

  function startIn(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.matches(MARKS)) start(node);
    else node.querySelectorAll(MARKS).forEach(start);
  }

  new MutationObserver((changes) => {
    for (const change of changes) change.addedNodes.forEach(startIn);
  }).observe(document.documentElement, { childList: true, subtree: true });
  document.addEventListener("DOMContentLoaded", () => startIn(document.documentElement));
})();
