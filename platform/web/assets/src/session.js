// Keeps the short-lived session cookie fresh while a page is open, by posting
// to the address in <meta name="session-refresh">. Where ClerkJS is loaded it does
// that, and is only asked before something is sent. Without both this does nothing.

const refreshAfter = 45_000; // the cookie lives for 60 seconds
const address = document.querySelector('meta[name="session-refresh"]')?.content;

let refreshedAt = Date.now();
let refreshing = null;

const clerk = () => (window.Clerk?.loaded ? window.Clerk : null);

// A token of ClerkJS' that is fresh costs no request, so it is always asked for.
export const isStale = () => Boolean(clerk()) || (Boolean(address) && Date.now() - refreshedAt > refreshAfter);

// refresh renews the cookie, once for all who ask meanwhile, and says how the
// session is: "alive", "ended", or "unknown" when the server was not reached,
// in which case it is best to go on and let the request find out.
export function refresh() {
  if (clerk()) {
    if (!clerk().session) return Promise.resolve("ended");
    return clerk().session.getToken().then((token) => (token ? "alive" : "ended"), () => "unknown");
  }
  refreshing ??= fetch(address, { method: "POST", credentials: "same-origin", cache: "no-store" })
    .then((response) => {
      if (response.status === 401) return "ended";
      if (!response.ok) return "unknown";
      refreshedAt = Date.now();
      return "alive";
    })
    .catch(() => "unknown")
    .finally(() => { refreshing = null; });
  return refreshing;
}

export function start() {
  if (!address) return;
  setInterval(() => { if (!document.hidden) refresh(); }, refreshAfter);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && isStale()) refresh(); });
}
