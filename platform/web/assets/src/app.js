// What pages do beyond HTML: htmx, the session's life, dialogs, menus, toasts.
// Pages work without it. Every listener is delegated: no markup carries script.
import htmx from "htmx.org";
import * as drafts from "./drafts.js";
import * as palette from "./palette.js";
import * as session from "./session.js";
import "./shortcuts.js";

document.documentElement.classList.add("js");

const toasts = () => document.getElementById("toasts");

// announce shows the toast that the server rendered into <template id>.
function announce(id) {
  const template = document.getElementById(id);
  if (template) toasts()?.append(template.content.cloneNode(true));
}

// signIn leaves for the sign-in page; what was typed comes back with the person, and
// what was being sent in any case.
function signIn(back, sent) {
  const page = document.querySelector('meta[name="sign-in"]')?.content;
  if (!page) return;
  drafts.save(sent);
  const target = new URL(page, location.href);
  target.searchParams.set("redirect_url", back.pathname + back.search);
  location.assign(target);
}

// pageOf is the page that a request of htmx' asks for a part of: this one or, when
// the address was about to change, as for a search, the one it would have become.
function pageOf({ elt, verb, path }) {
  if (verb !== "get" || !elt.closest('[hx-replace-url="true"], [hx-push-url="true"]')) return location;
  const page = new URL(path, location.href);
  if (elt instanceof HTMLFormElement) page.search = new URLSearchParams(new FormData(elt));
  return page;
}

// --- Forms: one click sends once, with a session that is alive -------------

const busy = new WeakSet();

// The forms about how pages look need no session, and leave the page where it is:
// see below.
const isAboutLooks = ({ dataset }) => "themeControl" in dataset || "sidebarControl" in dataset;

function setBusy(form, is) {
  if (is) busy.add(form);
  else busy.delete(form);
  for (const button of form.querySelectorAll('button[type="submit"]')) {
    if (is) button.setAttribute("aria-busy", "true");
    else button.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || isAboutLooks(form)) return;
  if (busy.has(form)) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  if (form.hasAttribute("hx-post")) return; // htmx:confirm and htmx:beforeRequest see to it
  if ("submitOnce" in form.dataset) setBusy(form, true);
  if (!session.isStale()) return;
  event.preventDefault();
  const { submitter } = event;
  if ((await session.refresh()) === "ended") {
    setBusy(form, false);
    signIn(location, form);
    return;
  }
  // A second submit() would run the validation and this listener again.
  if (submitter?.name) {
    const value = document.createElement("input");
    Object.assign(value, { type: "hidden", name: submitter.name, value: submitter.value });
    form.append(value);
  }
  if (submitter?.hasAttribute("formaction")) form.action = submitter.formAction;
  HTMLFormElement.prototype.submit.call(form);
}, true);

// Coming back through the history shows the page as it was left: busy.
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.forms) setBusy(form, false);
  for (const form of document.forms) updateChosen(form);
});

// --- htmx -------------------------------------------------------------------

document.addEventListener("htmx:confirm", (event) => {
  if (!session.isStale()) return;
  event.preventDefault();
  session.refresh().then((state) => (state === "ended" ? signIn(pageOf(event.detail), event.detail.elt) : event.detail.issueRequest(true)));
});

// An address says what was asked for, and not what was left out.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.verb !== "get") return;
  for (const [name, value] of [...detail.formData]) if (value === "") detail.formData.delete(name);
});

document.addEventListener("htmx:beforeRequest", ({ target }) => {
  if (target instanceof HTMLFormElement && "submitOnce" in target.dataset) setBusy(target, true);
});
document.addEventListener("htmx:afterRequest", ({ target }) => {
  if (target instanceof HTMLFormElement) setBusy(target, false);
});

// What a page asks for by itself, again and again, neither calls for attention nor
// takes it from what the person is doing.
const isUnasked = ({ requestConfig }) => requestConfig !== undefined && !requestConfig.triggeringEvent;

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.status === 401) {
    event.detail.shouldSwap = false;
    signIn(pageOf(event.detail.requestConfig), event.detail.requestConfig.elt);
  } else if (xhr.status >= 400 && xhr.status !== 422) {
    // Only what the server made for some place; a proxy's error page is not.
    event.detail.shouldSwap = xhr.getResponseHeader("HX-Retarget") !== null && !isUnasked(event.detail);
    if (!event.detail.shouldSwap && !isUnasked(event.detail)) announce("toast-failed");
  }
});
for (const failure of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failure, ({ detail }) => { if (!isUnasked(detail)) announce("toast-offline"); });
}

// After the page itself was swapped, focus goes to what needs attention.
document.addEventListener("htmx:afterSettle", ({ target, detail }) => {
  if (isUnasked(detail)) return;
  const invalid = target.querySelector?.('[aria-invalid="true"]');
  if (invalid) invalid.focus();
  else if (target.id === "main" && !target.contains(document.activeElement)) {
    (target.querySelector("[autofocus], h1") ?? target).focus();
  }
});

// --- Dialogs ----------------------------------------------------------------

document.addEventListener("click", (event) => {
  const { target } = event;
  const opener = target.closest("[data-dialog]");
  const dialog = opener && document.getElementById(opener.dataset.dialog);
  if (dialog instanceof HTMLDialogElement && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    opener.closest("details.menu")?.removeAttribute("open");
    dialog.showModal();
    palette.opened(dialog);
    updateConfirmation(dialog.querySelector("[data-confirm]"));
    return;
  }
  if (target.closest("[data-close]") || target.matches("dialog.dialog")) target.closest("dialog")?.close();
  target.closest("[data-dismiss]")?.closest(".toast")?.remove();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
});

// The button of a typed confirmation waits for the text; the server checks too.
function updateConfirmation(input) {
  if (!input) return;
  const button = input.form?.querySelector('button[type="submit"]');
  if (button) button.disabled = input.value.trim() !== input.dataset.confirm;
}
document.addEventListener("input", ({ target }) => {
  if (target.matches("[data-confirm]")) updateConfirmation(target);
});

// --- Lists: how many are chosen, and all at once ------------------------------

function updateChosen(form) {
  const all = form?.querySelector("[data-check-all]");
  if (!all) return;
  const boxes = [...form.querySelectorAll(`input[name="${all.dataset.checkAll}"]`)];
  const count = boxes.filter((box) => box.checked).length;
  all.checked = count > 0 && count === boxes.length;
  all.indeterminate = count > 0 && count < boxes.length;
  form.querySelector("[data-checked-count]").textContent = count > 0 ? `${count} chosen` : "Choose all";
}
document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-check-all]")) {
    for (const box of target.form.querySelectorAll(`input[name="${target.dataset.checkAll}"]`)) box.checked = target.checked;
  }
  updateChosen(target.form);
});

// --- Menus ------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("details.menu");
  if (!menu) return;
  const summary = menu.querySelector("summary");
  const items = [...menu.querySelectorAll(".menu-content :is(a, button)")];
  const at = items.indexOf(document.activeElement);
  const move = { ArrowDown: at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 };
  if (event.key === "Escape" && menu.open) {
    event.preventDefault(); // the drawer around it stays open
    menu.open = false;
    summary.focus();
  } else if (event.key in move && items.length > 0 && (menu.open || event.key === "ArrowDown")) {
    event.preventDefault();
    menu.open = true;
    items[(move[event.key] + items.length) % items.length].focus();
  }
});
document.addEventListener("focusout", ({ target, relatedTarget }) => {
  const menu = target.closest?.("details.menu[open]");
  if (menu && relatedTarget && !menu.contains(relatedTarget)) menu.open = false;
});

// --- Toasts -----------------------------------------------------------------

const toastLifetime = 6000;

// A toast that is pointed at, or focused, waits; an error waits to be read.
function expire(toast) {
  if (toast.dataset.kind === "error") return;
  setTimeout(() => {
    if (toast.matches(":hover, :focus-within")) expire(toast);
    else toast.remove();
  }, toastLifetime);
}
if (toasts()) {
  toasts().querySelectorAll(".toast").forEach(expire);
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.matches?.(".toast")) expire(node);
    }
  }).observe(toasts(), { childList: true });
}

// --- Theme ------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("themeControl" in form.dataset)) return;
  event.preventDefault();
  const theme = event.submitter?.value ?? "";
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  for (const button of document.querySelectorAll("[data-theme-control] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
  fetch(form.action, { method: "POST", body: new URLSearchParams({ theme }), redirect: "manual" })
    .catch(() => announce("toast-offline"));
});

// --- Sidebar ----------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("sidebarControl" in form.dataset)) return;
  event.preventDefault();
  const button = form.querySelector("button");
  const sidebar = button.value;
  if (sidebar) document.documentElement.dataset.sidebar = sidebar;
  else delete document.documentElement.dataset.sidebar;
  button.value = sidebar ? "" : "folded";
  button.setAttribute("aria-expanded", String(!sidebar));
  fetch(form.action, { method: "POST", body: new URLSearchParams({ sidebar }), redirect: "manual" })
    .catch(() => announce("toast-offline"));
});

// --- Start ------------------------------------------------------------------

session.start();
if (drafts.restore()) announce("toast-restored");
window.htmx = htmx; // for extensions
