/* Keys of the page of pictures, the dialog that tells them, and what is said when the service does not answer. */
"use strict";

(() => {
  const SETTING = "photocat-keys";
  const dialog = document.getElementById("help");
  const keysOn = document.getElementById("keys-on");

  const cards = () => [...document.querySelectorAll("#pictures .card")];
  const rows = () => [...document.querySelectorAll("#pictures .tag")].filter((row) => row.querySelector("button"));
  const here = (what) => document.activeElement ? document.activeElement.closest(what) : null;

  function stored() {
    try { return localStorage.getItem(SETTING) !== "off"; } catch { return true; }
  }

  function store(on) {
    try { localStorage.setItem(SETTING, on ? "on" : "off"); } catch { /* private windows may keep nothing */ }
  }

  function focus(element) {
    if (!element) return false;
    element.focus();
    element.scrollIntoView({ block: "nearest" });
    return true;
  }

  function toCard(step) {
    const all = cards();
    const at = all.indexOf(here(".card"));
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step;
    const card = all[next];
    return focus(card && (card.querySelector(".tag .yes") || card.querySelector("h2")));
  }

  function toTag(step) {
    const all = rows();
    const row = here(".tag");
    if (row) {
      const next = all[all.indexOf(row) + step];
      return focus(next && next.querySelector(".yes"));
    }
    return here(".card") ? focus(here(".card").querySelector(".tag .yes")) : toCard(step);
  }

  function press(which) {
    const row = here(".tag");
    const button = row && row.querySelector(which);
    if (!button) return false;
    button.focus(); // so that it has the focus again when the picture has come back
    button.click();
    return true;
  }

  const KEYS = {
    j: () => toCard(1),
    k: () => toCard(-1),
    ArrowDown: () => here("#pictures") !== null && toTag(1),
    ArrowUp: () => here("#pictures") !== null && toTag(-1),
    a: () => press(".yes[aria-pressed=false]"),
    r: () => press(".no[aria-pressed=false]"),
    u: () => press("[aria-pressed=true]"),
    t: () => here(".card") !== null && focus(here(".card").querySelector(".add [role=combobox]")),
    f: () => here(".card") !== null && focus(here(".card").querySelector(".face [role=combobox]")),
    "?": () => { open(); return true; },
  };

  function open() {
    if (dialog && !dialog.open) dialog.showModal();
  }

  function typing(element) {
    return element instanceof Element && element.closest("input:not([type=checkbox]), textarea, select") !== null;
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target)) {
      if (event.key === "Escape" && here(".card")) {
        const card = here(".card");
        focus(card.querySelector(".tag .yes") || card.querySelector("h2"));
      }
      return;
    }
    if (dialog && dialog.open) return;
    if (keysOn && !keysOn.checked) return;
    // By hasOwn, for a key may be called as a member of every object is.
    if (Object.hasOwn(KEYS, event.key) && KEYS[event.key]()) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const opener = event.target instanceof Element ? event.target.closest("[data-opens=help]") : null;
    if (opener) open();
  });

  if (keysOn) {
    keysOn.checked = stored();
    keysOn.addEventListener("change", () => store(keysOn.checked));
  }

  // A keyword that nothing but its verdict said has gone with it: on to the next one.
  document.addEventListener("htmx:afterSwap", (event) => {
    const row = event.target instanceof Element && event.target.matches("[id^=row-]") ? event.target : null;
    if (!row || row.querySelector("button") || document.activeElement !== document.body) return;
    const all = rows();
    const next = all.find((other) => row.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);
    focus((next || all[all.length - 1] || document.body).querySelector(".yes"));
  });

  function say(text) {
    document.getElementById("notice").textContent = text;
  }

  document.addEventListener("htmx:sendError", () => say("The service does not answer. Nothing was changed; try again."));
  document.addEventListener("htmx:responseError", () => say("Something went wrong. The log of the service says why."));
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.requestConfig.verb === "post") say("");
  });
})();
