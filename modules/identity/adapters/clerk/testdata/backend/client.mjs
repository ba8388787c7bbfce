// Uses the API client, the request authentication and the webhook verification
// of @clerk/backend against a running emulator, unchanged. It fails at the first
// thing that is not as Clerk has it.
import assert from 'node:assert/strict';
import { createClerkClient, verifyToken } from '@clerk/backend';
import { verifyWebhook } from '@clerk/backend/webhooks';

const { apiUrl, secretKey, publishableKey, issuer, origin, webhookSecret, received } = JSON.parse(process.argv[2]);
const clerk = createClerkClient({ apiUrl, secretKey, publishableKey, proxyUrl: issuer });
const { users, organizations, sessions } = clerk;

const step = async (name, run) => {
  try {
    return await run();
  } catch (error) {
    error.message = `${name}: ${error.message} ${JSON.stringify(error.errors ?? '')}`;
    throw error;
  }
};
const refused = async (status, code, promise) => {
  const error = await promise.then(() => assert.fail(`accepted, want ${status} ${code}`), e => e);
  assert.equal(error.status, status, `${error} ${JSON.stringify(error.errors)}`);
  assert.equal(error.errors[0].code, code);
};
const ids = list => list.data.map(item => item.id);

const ada = await step('users.createUser', () =>
  users.createUser({
    externalId: 'ext_1', emailAddress: ['ada@example.com'], phoneNumber: ['+15555550100'], username: 'ada', password: 'correct horse battery',
    firstName: 'Ada', lastName: 'Lovelace', locale: 'en-GB', skipPasswordChecks: true,
    publicMetadata: { snake_case: 1, camelCase: { deep_key: true } }, privateMetadata: { secret: 'x' }, unsafeMetadata: { u: [1] },
  }));
assert.equal(ada.primaryEmailAddress.emailAddress, 'ada@example.com');
assert.equal(ada.primaryPhoneNumber.phoneNumber, '+15555550100');
assert.deepEqual([ada.fullName, ada.externalId, ada.username, ada.locale, ada.passwordEnabled], ['Ada Lovelace', 'ext_1', 'ada', 'en-GB', true]);
assert.deepEqual(ada.publicMetadata, { snake_case: 1, camelCase: { deep_key: true } });
assert.ok(Math.abs(Date.now() - ada.createdAt) < 60_000);
const grace = await users.createUser({ emailAddress: ['grace@example.com'], firstName: 'Grace', skipPasswordRequirement: true });
await step('users, refused', async () => {
  await refused(422, 'form_identifier_exists', users.createUser({ emailAddress: ['ADA@example.com'], skipPasswordRequirement: true }));
  await refused(404, 'resource_not_found', users.getUser('user_nobody'));
  await refused(401, 'authentication_invalid', createClerkClient({ apiUrl, secretKey: 'sk_live_wrong', publishableKey }).users.getUser(ada.id));
});
await step('users, read', async () => {
  assert.equal((await users.getUser(ada.id)).id, ada.id);
  const list = await users.getUserList({ query: 'lovelace', orderBy: '-created_at', limit: 5 });
  assert.deepEqual([ids(list), list.totalCount], [[ada.id], 1]);
  assert.deepEqual(ids(await users.getUserList({ emailAddress: ['grace@example.com', 'nobody@example.com'] })), [grace.id]);
  assert.deepEqual(ids(await users.getUserList({ userId: [ada.id, grace.id], orderBy: '+created_at', offset: 1, limit: 1 })), [grace.id]);
  assert.deepEqual(ids(await users.getUserList({ orderBy: 'first_name' })), [ada.id, grace.id]);
  assert.deepEqual(ids(await users.getUserList({ orderBy: '-email_address' })), [grace.id, ada.id]);
  assert.equal(await users.getCount({ externalId: ['ext_1'] }), 1);
});
await step('users, change', async () => {
  const changed = await users.updateUser(ada.id, { firstName: 'Augusta', publicMetadata: { a: { b: 1, c: 2 } } });
  assert.deepEqual([changed.firstName, changed.publicMetadata], ['Augusta', { a: { b: 1, c: 2 } }]);
  assert.deepEqual((await users.updateUserMetadata(ada.id, { publicMetadata: { a: { c: null }, d: 1 } })).publicMetadata, { a: { b: 1 }, d: 1 });
  assert.deepEqual((await users.replaceUserMetadata(ada.id, { publicMetadata: { e: 1 } })).publicMetadata, { e: 1 });
  assert.equal((await users.verifyPassword({ userId: ada.id, password: 'correct horse battery' })).verified, true);
  await refused(422, 'incorrect_password', users.verifyPassword({ userId: ada.id, password: 'wrong' }));
  assert.equal((await users.removePassword(ada.id)).passwordEnabled, false);
  assert.equal((await users.banUser(grace.id)).banned, true);
  assert.equal((await users.unbanUser(grace.id)).banned, false);
  assert.equal((await users.lockUser(grace.id)).locked, true);
  assert.equal((await users.unlockUser(grace.id)).locked, false);
});

const acme = await step('organizations.createOrganization', () =>
  organizations.createOrganization({ name: 'Acme', slug: 'acme', createdBy: ada.id, maxAllowedMemberships: 7, publicMetadata: { plan: 'pro' }, privateMetadata: { s: 1 } }));
assert.deepEqual([acme.name, acme.slug, acme.createdBy, acme.maxAllowedMemberships, acme.publicMetadata], ['Acme', 'acme', ada.id, 7, { plan: 'pro' }]);
await step('organizations', async () => {
  await refused(422, 'form_identifier_exists', organizations.createOrganization({ name: 'Acme', slug: 'acme', createdBy: ada.id }));
  assert.equal((await organizations.getOrganization({ slug: 'acme', includeMembersCount: true })).membersCount, 1);
  assert.equal((await organizations.getOrganization({ organizationId: acme.id })).id, acme.id);
  const globex = await organizations.createOrganization({ name: 'Globex', createdBy: grace.id });
  const list = await organizations.getOrganizationList({ query: 'gLoBeX', includeMembersCount: true, orderBy: '-created_at', limit: 1 });
  assert.deepEqual([ids(list), list.totalCount], [[globex.id], 1]);
  assert.deepEqual(ids(await organizations.getOrganizationList({ orderBy: 'name' })), [acme.id, globex.id]);
  assert.deepEqual(ids(await organizations.getOrganizationList({ orderBy: '-name' })), [globex.id, acme.id]);
  assert.deepEqual(ids(await organizations.getOrganizationList({ organizationId: [acme.id] })), [acme.id]);
  const renamed = await organizations.updateOrganization(globex.id, { name: 'Globex Corporation', slug: 'globex-2', adminDeleteEnabled: false, publicMetadata: { x: 1 } });
  assert.deepEqual([renamed.name, renamed.slug, renamed.adminDeleteEnabled, renamed.publicMetadata], ['Globex Corporation', 'globex-2', false, { x: 1 }]);
  assert.deepEqual((await organizations.updateOrganizationMetadata(globex.id, { publicMetadata: { y: 2 } })).publicMetadata, { x: 1, y: 2 });
  assert.deepEqual((await organizations.replaceOrganizationMetadata(globex.id, { publicMetadata: { z: 3 } })).publicMetadata, { z: 3 });
  assert.deepEqual(await organizations.deleteOrganization(globex.id).then(d => [d.id, d.deleted, d.object]), [globex.id, true, 'organization']);
  await refused(404, 'resource_not_found', organizations.getOrganization({ organizationId: globex.id }));
});
await step('memberships', async () => {
  const membership = await organizations.createOrganizationMembership({ organizationId: acme.id, userId: grace.id, role: 'org:member' });
  assert.deepEqual([membership.role, membership.organization.id, membership.publicUserData.userId, membership.publicUserData.identifier], ['org:member', acme.id, grace.id, 'grace@example.com']);
  await refused(400, 'already_a_member_in_organization', organizations.createOrganizationMembership({ organizationId: acme.id, userId: grace.id, role: 'org:member' }));
  const admins = await organizations.getOrganizationMembershipList({ organizationId: acme.id, role: ['org:admin'], orderBy: '-created_at', limit: 10 });
  assert.deepEqual([admins.data.map(m => m.publicUserData.userId), admins.totalCount], [[ada.id], 1]);
  for (const [orderBy, want] of [['first_name', [ada.id, grace.id]], ['-email_address', [grace.id, ada.id]], ['+created_at', [ada.id, grace.id]]]) {
    const list = await organizations.getOrganizationMembershipList({ organizationId: acme.id, orderBy });
    assert.deepEqual(list.data.map(m => m.publicUserData.userId), want, orderBy);
  }
  assert.equal((await organizations.getInstanceOrganizationMembershipList({ orderBy: 'created_at', limit: 10 })).totalCount, 2);
  assert.deepEqual((await users.getOrganizationMembershipList({ userId: grace.id, limit: 10 })).data.map(m => m.organization.slug), ['acme']);
  assert.equal((await organizations.updateOrganizationMembership({ organizationId: acme.id, userId: grace.id, role: 'org:admin' })).role, 'org:admin');
  const metadata = await organizations.updateOrganizationMembershipMetadata({ organizationId: acme.id, userId: grace.id, publicMetadata: { desk: 7 } });
  assert.deepEqual(metadata.publicMetadata, { desk: 7 });
  await refused(422, 'form_param_value_invalid', organizations.updateOrganizationMembership({ organizationId: acme.id, userId: grace.id, role: 'nonsense' }));
  assert.equal((await organizations.deleteOrganizationMembership({ organizationId: acme.id, userId: grace.id })).publicUserData.userId, grace.id);
});
await step('invitations', async () => {
  const invitation = await organizations.createOrganizationInvitation({
    organizationId: acme.id, emailAddress: 'linus@example.com', role: 'org:member', inviterUserId: ada.id, redirectUrl: `${origin}/welcome`, expiresInDays: 3, publicMetadata: { from: 'test' },
  });
  assert.deepEqual([invitation.emailAddress, invitation.role, invitation.status, invitation.organizationId, invitation.publicMetadata], ['linus@example.com', 'org:member', 'pending', acme.id, { from: 'test' }]);
  assert.ok(invitation.url.startsWith(issuer) && invitation.expiresAt > Date.now() + 2 * 86_400_000);
  await refused(400, 'duplicate_record', organizations.createOrganizationInvitation({ organizationId: acme.id, emailAddress: 'linus@example.com', role: 'org:member', inviterUserId: ada.id }));
  const bulk = await organizations.createOrganizationInvitationBulk(acme.id, [
    { emailAddress: 'grace@example.com', role: 'org:member', inviterUserId: ada.id }, { emailAddress: 'barbara@example.com', role: 'org:admin', inviterUserId: ada.id },
  ]);
  assert.deepEqual(bulk.data.map(i => i.emailAddress), ['grace@example.com', 'barbara@example.com']);
  assert.equal((await organizations.getOrganizationInvitation({ organizationId: acme.id, invitationId: invitation.id })).id, invitation.id);
  const pending = await organizations.getOrganizationInvitationList({ organizationId: acme.id, status: ['pending'], limit: 2 });
  assert.deepEqual([pending.data.length, pending.totalCount], [2, 3]);
  assert.deepEqual((await users.getOrganizationInvitationList({ userId: grace.id, status: 'pending' })).data.map(i => i.emailAddress), ['grace@example.com']);
  assert.equal((await organizations.revokeOrganizationInvitation({ organizationId: acme.id, invitationId: invitation.id, requestingUserId: ada.id })).status, 'revoked');
});

await step('sessions and tokens', async () => {
  const session = await sessions.createSession({ userId: ada.id });
  assert.deepEqual([session.userId, session.status], [ada.id, 'active']);
  assert.deepEqual(ids(await sessions.getSessionList({ userId: ada.id, status: 'active' })), [session.id]);
  assert.equal((await sessions.getSession(session.id)).id, session.id);
  const { jwt } = await sessions.getToken(session.id);
  const claims = await verifyToken(jwt, { apiUrl, secretKey, issuer });
  assert.deepEqual([claims.sub, claims.sid, claims.iss], [ada.id, session.id, issuer]);
  const long = await sessions.getToken(session.id, undefined, 600);
  const { exp, iat } = await verifyToken(long.jwt, { apiUrl, secretKey });
  assert.equal(exp - iat, 600);
  const bearer = await clerk.authenticateRequest(new Request(`${origin}/acme`, { headers: { authorization: `Bearer ${jwt}` } }));
  assert.deepEqual([bearer.status, bearer.toAuth().userId], ['signed-in', ada.id]);
  const cookie = await clerk.authenticateRequest(new Request(`${origin}/acme`, { headers: { cookie: `__client_uat=1; __session=${jwt}` } }));
  // The plain cookie's issuer is the emulator's, so Clerk's library trusts the suffixed ones: with both it is signed in.
  const suffixed = bytes => Buffer.from(bytes).toString('base64').replace(/\+/g, '-').replace(/\//g, '_').slice(0, 8);
  const suffix = suffixed(await crypto.subtle.digest('sha-1', new TextEncoder().encode(publishableKey)));
  const both = await clerk.authenticateRequest(
    new Request(`${origin}/acme`, { headers: { cookie: `__client_uat=1; __session=${jwt}; __client_uat_${suffix}=1; __session_${suffix}=${jwt}` } }));
  assert.deepEqual([cookie.status, both.status, both.toAuth().userId], ['signed-out', 'signed-in', ada.id]);
  const handshake = await clerk.authenticateRequest(
    new Request(`${origin}/acme?page=2`, { headers: { cookie: `__client_uat_${suffix}=1`, 'sec-fetch-dest': 'document' } }));
  assert.equal(handshake.status, 'handshake');
  const location = new URL(handshake.headers.get('location'));
  assert.deepEqual([location.origin + location.pathname, location.searchParams.get('redirect_url')], [`${issuer}/v1/client/handshake`, `${origin}/acme?page=2`]);
  const cookies = await sessions.refreshSession(session.id, {
    format: 'cookie', suffixed_cookies: true, expired_token: jwt, refresh_token: 'x', request_origin: origin, request_headers: {},
  });
  assert.match(cookies.cookies[0], new RegExp(`^__session_${suffix}=ey`));
  assert.equal((await sessions.revokeSession(session.id)).status, 'revoked');
  await refused(404, 'resource_not_found', sessions.getSession('sess_none'));
});
await step('users.deleteUser', async () => {
  assert.deepEqual(await users.deleteUser(grace.id).then(d => [d.id, d.deleted]), [grace.id, true]);
});

await step('webhooks', async () => {
  const wanted = [
    'user.created', 'user.updated', 'user.deleted', 'organization.created', 'organization.updated', 'organization.deleted', 'organizationMembership.created',
    'organizationMembership.updated', 'organizationMembership.deleted', 'organizationInvitation.created', 'organizationInvitation.revoked', 'session.created', 'session.revoked',
  ];
  let events = [];
  for (const until = Date.now() + 20_000; Date.now() < until; ) {
    events = await (await fetch(received)).json();
    if (wanted.every(type => events.some(e => JSON.parse(e.body).type === type))) break;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  const request = (event, body) => new Request(origin, { method: 'POST', headers: event.headers, body });
  const types = new Set();
  for (const event of events) {
    const verified = await verifyWebhook(request(event, event.body), { signingSecret: webhookSecret });
    assert.ok(verified.data.id && verified.data.object && verified.timestamp && verified.instance_id, event.body);
    types.add(verified.type);
    await assert.rejects(verifyWebhook(request(event, event.body + ' '), { signingSecret: webhookSecret }));
  }
  for (const type of wanted) assert.ok(types.has(type), `no ${type} among ${[...types]}`);
});
console.log('as Clerk has it');
