// Uses the middleware, the API client and the webhook verification of
// @clerk/nextjs's server side against a running emulator, unchanged. It fails at the
// first thing that is not as Clerk has it.
const Module = require('node:module');
const resolve = Module._resolveFilename;
// What a bundler for servers takes out; everywhere else it throws.
Module._resolveFilename = function (name, ...rest) { return resolve.call(this, name === 'server-only' ? 'server-only/empty' : name, ...rest); };

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { apiUrl, secretKey, publishableKey, issuer, origin, webhookSecret, received } = JSON.parse(process.argv[2]);
Object.assign(process.env, {
  CLERK_API_URL: apiUrl, CLERK_SECRET_KEY: secretKey, NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY: publishableKey, NEXT_PUBLIC_CLERK_PROXY_URL: issuer,
  NEXT_PUBLIC_CLERK_SIGN_IN_URL: '/sign-in', CLERK_WEBHOOK_SIGNING_SECRET: webhookSecret, NEXT_PUBLIC_CLERK_TELEMETRY_DISABLED: '1',
});
const { NextRequest, NextResponse } = require('next/server');
const { clerkMiddleware, clerkClient } = require('@clerk/nextjs/server');
const { verifyWebhook } = require('@clerk/nextjs/webhooks');

(async () => {
  const client = await clerkClient();
  const ada = await client.users.createUser({ emailAddress: ['ada@example.com'], skipPasswordRequirement: true });
  const acme = await client.organizations.createOrganization({ name: 'Acme', slug: 'acme', createdBy: ada.id });
  const session = await client.sessions.createSession({ userId: ada.id });
  const { jwt } = await client.sessions.getToken(session.id);

  let seen;
  const middleware = clerkMiddleware(async auth => {
    seen = await auth();
    await auth.protect();
    return NextResponse.next();
  });
  const ask = (path, headers = {}) => middleware(new NextRequest(origin + path, { headers }), { waitUntil() {} });

  const bearer = await ask('/private', { authorization: `Bearer ${jwt}` });
  assert.equal(seen.userId, ada.id);
  assert.equal(seen.sessionId, session.id);
  assert.equal(bearer.headers.get('x-middleware-request-x-clerk-auth-status'), 'signed-in');

  await ask('/private', { authorization: 'Bearer forged' });
  assert.equal(seen.userId, null);

  const stranger = await ask('/private', { accept: 'text/html', 'sec-fetch-dest': 'document' });
  assert.equal(seen.userId, null);
  assert.equal(stranger.status, 307);
  assert.ok(stranger.headers.get('location').startsWith(origin + '/sign-in'), stranger.headers.get('location'));

  // Behind a proxy the plain names are another instance's for all it knows.
  const suffix = createHash('sha1').update(publishableKey).digest('base64url').slice(0, 8);
  const now = Math.floor(Date.now() / 1000);
  const cookies = await ask('/private', { cookie: `__client_uat_${suffix}=${now - 60}; __session_${suffix}=${jwt}` });
  assert.equal(seen.userId, ada.id);
  assert.equal(cookies.headers.get('x-middleware-request-x-clerk-auth-status'), 'signed-in');
  const handshake = await ask('/private', { accept: 'text/html', 'sec-fetch-dest': 'document', cookie: `__client_uat_${suffix}=${now}` });
  assert.equal(handshake.status, 307);
  assert.ok(handshake.headers.get('location').startsWith(issuer + '/v1/client/handshake?'), handshake.headers.get('location'));

  const organizations = await client.users.getOrganizationMembershipList({ userId: ada.id });
  assert.deepEqual(organizations.data.map(m => m.organization.id), [acme.id]);

  let deliveries = [];
  for (let tries = 0; tries < 200 && deliveries.length < 3; tries++) {
    deliveries = await (await fetch(received)).json();
    await new Promise(done => setTimeout(done, 25));
  }
  assert.ok(deliveries.length >= 3);
  for (const { headers, body } of deliveries) {
    const event = await verifyWebhook(new NextRequest(origin + '/api/webhooks', { method: 'POST', headers, body }));
    assert.equal(event.type, JSON.parse(body).type);
    await assert.rejects(verifyWebhook(new NextRequest(origin + '/api/webhooks', { method: 'POST', headers, body: body + ' ' })));
  }
})().catch(error => {
  console.error(error, error.errors ?? '');
  process.exit(1);
});
