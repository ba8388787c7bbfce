// Answers what authenticateRequest of @clerk/backend decides, a line of JSON for
// each line of JSON. There is no network: the Backend API is answered from what
// the lines say, and any other address is an error.
import { createInterface } from 'node:readline';

let keys;
let asked; // the request that is being decided

globalThis.fetch = async (input, init = {}) => {
  const url = new URL(input);
  const json = (status, body) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
  const refused = (status, code) => json(status, { errors: [{ code, message: code }] });
  switch (`${init.method ?? 'GET'} ${url.pathname}`) {
    case 'GET /v1/jwks':
      return json(200, { keys });
    case 'GET /v1/clients/handshake_payload': {
      const directives = asked.nonces?.[url.searchParams.get('nonce')];
      return directives ? json(200, { nonce: '', payload: '', directives }) : refused(404, 'resource_not_found');
    }
  }
  const refresh = /^\/v1\/sessions\/([^/]+)\/refresh$/.exec(url.pathname);
  if (refresh && init.method === 'POST') {
    const body = JSON.parse(init.body);
    const cookies = asked.refreshes?.[body.refresh_token];
    return cookies ? json(200, { object: 'cookies', cookies }) : refused(401, 'refresh_token_invalid');
  }
  throw new Error(`no network: ${init.method} ${url}`);
};
Date.now = () => asked.now;
for (const method of ['log', 'warn', 'error']) console[method] = () => {}; // standard output is for answers

const { createClerkClient } = await import('@clerk/backend');

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const setup = JSON.parse((await lines.next()).value);
keys = setup.keys;
const clients = Object.fromEntries(
  Object.entries(setup.instances).map(([name, options]) => [name, createClerkClient({ ...options, apiUrl: 'http://backend.invalid' })]),
);

async function decide() {
  const request = new Request(asked.url, { method: asked.method, headers: asked.headers });
  const state = await clients[asked.instance].authenticateRequest(request, asked.options);
  const auth = state.status === 'signed-in' ? state.toAuth({ treatPendingAsSignedOut: false }) : {};
  return {
    state: state.status,
    reason: state.reason ?? '',
    user: auth.userId ?? '',
    session: auth.sessionId ?? '',
    pending: auth.sessionStatus === 'pending',
    organization: [auth.orgId ?? '', auth.orgSlug ?? '', auth.orgRole ?? ''].join(' ').trim(),
    location: state.headers.get('location') ?? '',
    cookies: state.headers.getSetCookie(),
    resolved: state.headers.get('access-control-allow-origin') === 'null',
    noStore: state.headers.get('cache-control') === 'no-store',
  };
}

for await (const line of lines) {
  asked = JSON.parse(line);
  let answer;
  try {
    answer = await decide();
  } catch (error) {
    answer = { state: 'error', reason: `${error.name}: ${error.message}` };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
