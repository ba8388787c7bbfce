// Keyboard shortcuts. What keys lead to stands in the help sheet, as links with
// data-keys; none of them does anything while somebody types.

const sequenceTime = 1500; // to press the second key of two

const storage = "shortcuts";
const isOff = () => {
  try {
    return localStorage.getItem(storage) === "off";
  } catch {
    return false; // storage is forbidden
  }
};

const isTyping = (target) => target.isContentEditable || target.matches?.("input:not([type=checkbox], [type=radio]), textarea, select");
const isCovered = () => document.querySelector("dialog[open], :popover-open, details.menu[open]");

// open opens a dialog as its button does.
function open(id) {
  const button = document.querySelector(`[data-dialog="${id}"]`);
  button?.click();
  return Boolean(button);
}

let pressed = [];
let forget;

const named = {
  "?": () => open("shortcuts"),
  "[": () => document.querySelector("[data-sidebar-control]")?.requestSubmit(),
  "/": () => {
    const search = document.querySelector('main input[type="search"]');
    if (search) search.select();
    else open("palette");
  },
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && key.toLowerCase() === "k") {
    if (!document.querySelector("dialog[open]") && open("palette")) event.preventDefault();
    return;
  }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  if (isOff() || isTyping(target) || isCovered()) return;
  clearTimeout(forget);
  pressed.push(key);
  const links = [...document.querySelectorAll("#shortcuts [data-keys]")];
  const find = () => links.find((link) => link.dataset.keys === pressed.join(" "));
  if (!find() && !links.some((link) => link.dataset.keys.startsWith(pressed.join(" ") + " "))) pressed = [key];
  const link = find();
  if (link || (pressed.length === 1 && key in named)) {
    event.preventDefault();
    pressed = [];
    if (link) link.click();
    else named[key]();
    return;
  }
  forget = setTimeout(() => { pressed = []; }, sequenceTime);
});

document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-shortcuts-switch]")) return;
  try {
    if (target.checked) localStorage.removeItem(storage);
    else localStorage.setItem(storage, "off");
  } catch {
    // Storage is forbidden: nothing can be kept.
  }
});
if (/^(Mac|iP)/.test(navigator.platform)) {
  for (const key of document.querySelectorAll("[data-mac]")) key.textContent = key.dataset.mac;
}
document.querySelectorAll("[data-shortcuts-switch]").forEach((box) => { box.checked = !isOff(); });
