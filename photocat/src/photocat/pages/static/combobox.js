/* Text fields that complete what is typed, as the pattern "editable combobox with list" has it. htmx fills the list;
   this moves in it by keyboard or mouse, and puts what was chosen into the field and its key beside it. */
"use strict";

(() => {
  const box = (element) => element instanceof Element ? element.closest(".combobox") : null;
  const field = (combobox) => combobox.querySelector("[role=combobox]");
  const list = (combobox) => combobox.querySelector("[role=listbox]");
  const options = (combobox) => [...combobox.querySelectorAll("[role=option]")];
  const active = (combobox) => combobox.querySelector("[role=option][aria-selected=true]");

  function show(combobox, shown) {
    const some = shown && options(combobox).length > 0;
    list(combobox).hidden = !some;
    field(combobox).setAttribute("aria-expanded", String(some));
    if (!some) mark(combobox, null);
  }

  function mark(combobox, option) {
    for (const other of options(combobox)) other.setAttribute("aria-selected", String(other === option));
    if (option) {
      field(combobox).setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else {
      field(combobox).removeAttribute("aria-activedescendant");
    }
  }

  function choose(combobox, option) {
    const input = field(combobox);
    input.value = option.dataset.text;
    combobox.querySelector("input[type=hidden]").value = option.dataset.id;
    show(combobox, false);
    if (combobox.hasAttribute("data-submits")) input.form.requestSubmit();
    else input.focus();
  }

  function move(combobox, step) {
    const all = options(combobox);
    if (!all.length) return;
    show(combobox, true);
    const at = all.indexOf(active(combobox));
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length;
    mark(combobox, all[next]);
  }

  document.addEventListener("input", (event) => {
    const combobox = box(event.target);
    if (combobox) combobox.querySelector("input[type=hidden]").value = "";
  });

  document.addEventListener("keydown", (event) => {
    const combobox = box(event.target);
    if (!combobox || event.isComposing) return;
    const open = !list(combobox).hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      move(combobox, event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && open && active(combobox)) {
      choose(combobox, active(combobox));
    } else if (event.key === "Escape" && open) {
      show(combobox, false);
    } else {
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
  });

  // Not click: the field would lose the focus first, and its list with it.
  document.addEventListener("mousedown", (event) => {
    const option = event.target instanceof Element ? event.target.closest("[role=option]") : null;
    if (!option || event.button !== 0) return;
    event.preventDefault();
    choose(box(option), option);
  });

  document.addEventListener("focusout", (event) => {
    const combobox = box(event.target);
    if (combobox) show(combobox, false);
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    const combobox = box(event.target);
    if (!combobox || event.target !== list(combobox)) return;
    const asked = field(combobox);
    show(combobox, document.activeElement === asked && asked.value.trim() !== "");
  });
})();
