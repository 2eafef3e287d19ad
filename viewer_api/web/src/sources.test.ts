import { readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const here = fileURLToPath(new URL(".", import.meta.url));

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = `${folder}/${name}`;
    return statSync(path).isDirectory() ? sources(path) : /\.(ts|tsx|css)$/.test(name) ? [path] : [];
  });
}

/** What recorded data says must never become code, and the page must work without any other host. */
describe.each(sources(here).filter((path) => !path.endsWith(".test.ts")))("%s", (path) => {
  const text = readFileSync(path, "utf8");

  it("shows data only as text", () => {
    expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc/);
  });

  it("names no other host", () => {
    expect(text).not.toMatch(/https?:\/\/(?!www\.w3\.org)/);
  });
});

it("the page has no inline script or style", () => {
  const page = readFileSync(`${here}/../index.html`, "utf8");
  expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=/);
});
