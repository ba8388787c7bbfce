// Draws the components of ClerkJS into the elements with a data-component. The
// scripts before this one have loaded it; its options are the data of <script
// id="components">. What an element holds stays when that fails.

const options = document.getElementById("components")?.dataset ?? {};

const switcher = {
  hidePersonal: true,
  afterSelectOrganizationUrl: "/",
  afterCreateOrganizationUrl: "/onboarding",
  afterLeaveOrganizationUrl: options.organizations,
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
  "create-organization": (clerk, node, { returnTo }) => clerk.mountCreateOrganization(node, { afterCreateOrganizationUrl: returnTo }),
  "organization-profile": (clerk, node) => clerk.mountOrganizationProfile(node, { routing: "hash", ...switcher }),
  "user-profile": (clerk, node) => clerk.mountUserProfile(node, { routing: "hash" }),
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
    try {
      draw[node.dataset.component](clerk, node, node.dataset);
    } catch (error) {
      node.replaceChildren(...fallback);
      fail();
      console.error(error);
    }
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
