// Draws the components of ClerkJS into the elements with a data-component. The
// scripts before this one have loaded it; its options are the data of <script
// id="components">. What an element holds stays when that fails.

const options = document.getElementById("components")?.dataset ?? {};

// Where whoever has something left to do after signing in does it, and comes back
// from to where this page leads.
const returnTo = document.querySelector("[data-return-to]")?.dataset.returnTo ?? location.pathname + location.search;
const taskUrl = `${options.sessionTask}?${new URLSearchParams({ redirect_url: returnTo })}`;

const switcher = {
  hidePersonal: true,
  afterSelectOrganizationUrl: "/",
  afterCreateOrganizationUrl: "/onboarding",
  afterLeaveOrganizationUrl: options.organizations,
};

// What somebody may have to do after signing in, before the session counts.
const mountTask = {
  "choose-organization": (clerk, node, props) => clerk.mountTaskChooseOrganization(node, props),
  "reset-password": (clerk, node, props) => clerk.mountTaskResetPassword(node, props),
  "setup-mfa": (clerk, node, props) => clerk.mountTaskSetupMFA(node, props),
};

const draw = {
  "sign-in": (clerk, node, { returnTo }) => clerk.mountSignIn(node, {
    routing: "hash", forceRedirectUrl: returnTo, signUpUrl: options.signUp, signUpForceRedirectUrl: returnTo,
  }),
  "sign-up": (clerk, node, { returnTo }) => clerk.mountSignUp(node, {
    routing: "hash", forceRedirectUrl: returnTo, signInUrl: options.signIn, signInForceRedirectUrl: returnTo,
  }),
  "user-button": (clerk, node) => clerk.mountUserButton(node, {
    showName: true, userProfileMode: "navigation", userProfileUrl: options.profile,
  }),
  "organization-switcher": (clerk, node) => clerk.mountOrganizationSwitcher(node, {
    ...switcher,
    createOrganizationMode: "navigation", createOrganizationUrl: options.createOrganization,
    organizationProfileMode: "navigation", organizationProfileUrl: options.organizationProfile,
  }),
  "organization-list": (clerk, node, { returnTo }) => clerk.mountOrganizationList(node, { ...switcher, afterSelectOrganizationUrl: returnTo }),
  "organization-profile": (clerk, node) => clerk.mountOrganizationProfile(node, { routing: "hash", ...switcher }),
  "user-profile": (clerk, node) => clerk.mountUserProfile(node, { routing: "hash" }),
  "session-task": async (clerk, node, { returnTo }) => {
    const task = clerk.session?.currentTask?.key;
    if (task in mountTask) return mountTask[task](clerk, node, { redirectUrlComplete: returnTo });
    // Nothing is left to do. The cookie may still be that of before.
    if (clerk.session) await clerk.session.getToken({ skipCache: true });
    location.replace(clerk.session ? returnTo : `${options.signIn}?redirect_url=${encodeURIComponent(returnTo)}`);
  },
  "sign-out": (clerk, node) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn", textContent: "Sign out" });
    button.addEventListener("click", () => clerk.signOut({ redirectUrl: "/" }));
    node.append(button);
  },
};

function fill(clerk) {
  for (const node of document.querySelectorAll("[data-component]:not([data-drawn])")) {
    node.dataset.drawn = "";
    const fallback = [...node.childNodes];
    node.replaceChildren();
    (async () => draw[node.dataset.component](clerk, node, node.dataset))().catch((error) => {
      node.replaceChildren(...fallback);
      fail();
      console.error(error);
    });
  }
}

function fail() {
  for (const notice of document.querySelectorAll("[data-component-failed]")) {
    notice.hidden = false;
    notice.previousElementSibling.hidden = true;
  }
}

async function start() {
  const clerk = window.Clerk;
  const ClerkUI = window.__internal_ClerkUICtor;
  if (!clerk || !ClerkUI) return fail();
  try {
    await clerk.load({
      ui: { ClerkUI }, telemetry: false,
      signInUrl: options.signIn, signUpUrl: options.signUp, afterSignOutUrl: "/",
      taskUrls: Object.fromEntries(Object.keys(mountTask).map((task) => [task, taskUrl])),
    });
    // The page's path names the tenant; the session follows it.
    const { organization } = options;
    const isMember = clerk.user?.organizationMemberships.some((membership) => membership.organization.id === organization);
    if (isMember && clerk.organization?.id !== organization) await clerk.setActive({ organization });
  } catch (error) {
    console.error(error);
    return fail();
  }
  fill(clerk);
  document.addEventListener("htmx:afterSettle", () => fill(clerk));
}

start();
