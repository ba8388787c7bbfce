// A client made from the document. It is compiled and never run: what does not
// compile here does not compile at whoever builds on the API.
import createClient from "openapi-fetch";
import type { components, paths } from "./node_modules/.cache/schema.ts";

type Project = components["schemas"]["Project"];

const api = createClient<paths>({ baseUrl: "https://app.example.com", headers: { Authorization: "Bearer token" } });

export async function* projects(tenant: string): AsyncGenerator<Project> {
  let after: string | undefined;
  do {
    const { data, error } = await api.GET("/api/tenants/{tenant}/projects", {
      params: { path: { tenant }, query: { sort: "-updated_at", status: "active", limit: 100, ...(after ? { after } : {}) } },
    });
    if (error) throw new Error(`${error.title}: ${error.detail ?? ""}`);
    yield* data.items;
    after = data.next ?? undefined;
  } while (after);
}

export async function rename(tenant: string, project: string, name: string): Promise<Project> {
  const params = { path: { tenant, project } };
  const got = await api.GET("/api/tenants/{tenant}/projects/{project}", { params });
  if (got.error) throw new Error(got.error.title);
  const changed = await api.PATCH("/api/tenants/{tenant}/projects/{project}", {
    params: { ...params, header: { "If-Match": got.response.headers.get("ETag") ?? "*" } },
    body: { name, description: null },
  });
  if (changed.error) throw new Error(changed.error.errors?.map((field) => `${field.field} ${field.message}`).join() ?? changed.error.title);
  return changed.data ?? got.data;
}

export async function create(tenant: string, name: string): Promise<Project | undefined> {
  const { data, error } = await api.POST("/api/tenants/{tenant}/projects", {
    params: { path: { tenant }, header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { name, status: "active" },
  });
  if (error) throw new Error(error.title);
  // @ts-expect-error: a project has no such property
  data?.nonsense;
  return data;
}

export const onboard = (tenant: string) =>
  api.POST("/api/tenants/{tenant}/users/onboarding", { params: { path: { tenant } }, body: { phone: "+1 555 0100" } });
