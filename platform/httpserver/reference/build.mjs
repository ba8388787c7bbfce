// Fetches what shows the API reference, one file of one package, and checks it
// against its hash. The package is not installed: the file has everything that
// it needs inside, and nobody needs the package's dependencies.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const name = "@scalar/api-reference";
const version = "1.46.4";
const integrity = "sha512-EpCcOG15Ry8DKNs/f5AdRA97s1B5kGPekzANpnK0j1IpyU4Sb/mfdyfB00WC+vUo7hfc4BFRSkkiPa5SSM7fng==";

const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "reference-"));
try {
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", `${name}@${version}`, "--json", "--pack-destination", folder], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }));
  const archive = join(folder, filename.replace(/^@/, "").replaceAll("/", "-"));
  const got = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  if (got !== integrity) throw new Error(`${name}@${version} is ${got}, want ${integrity}`);
  execFileSync("tar", ["-xzf", archive, "-C", folder, "package/dist/browser/standalone.js"]);
  writeFileSync(join(here, "scalar.js"), readFileSync(join(folder, "package/dist/browser/standalone.js")));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
