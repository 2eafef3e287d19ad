import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** The dashboard speaks English: of what react-aria says to screen readers, the other languages are not bundled. */
const onlyEnglish: Plugin = {
  name: "only-english",
  enforce: "pre",
  resolveId(source, importer) {
    const english = source.replace(/(\/intl\/(?:[\w-]+\/)?)[a-z]{2}-[A-Z]{2}(\.m?js)$/, "$1en-US$2");
    return english === source ? null : this.resolve(english, importer, { skipSelf: true });
  },
};

const SHARED =
  /\/src\/(format|navigation\/route|reducer\/httpAnswer|tree\/appearance|api\/(flows|monitoring)|hooks\/use(Name|Delayed)|ui\/(Chip|Field|tell)|components\/(Ago|ExportMenu|PersonSearch)|pages\/flows\/(filters|usePreviews|TimeRange|MoreFilters|FilterBar\.module|FilterChips))\.(ts|tsx|css)$/;

export default defineConfig({
  // Relative addresses: the dashboard works under any sub-path.
  base: "./",
  plugins: [onlyEnglish],
  build: {
    outDir: "../spanflow/viewer_api/dashboard",
    emptyOutDir: true,
    target: "es2022",
    // Every asset is a file of its own: the Content-Security-Policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // A source map would only grow the wheel.
    sourcemap: false,
    // Packages mark code for React's server components, which there are none of here.
    rolldownOptions: {
      onwarn: (warning, warn) => (warning.code === "MODULE_LEVEL_DIRECTIVE" ? undefined : warn(warning)),
      // Small modules that the first page needs and others share: together they compress better than each by itself.
      output: { codeSplitting: { groups: [{ name: "shared", test: SHARED }] } },
    },
    // The licences of what is bundled travel with it.
    license: { fileName: "licences.md" },
  },
  server: {
    proxy: {
      "/api": { target: process.env["VIEWER_URL"] ?? "http://127.0.0.1:8500", ws: true },
    },
  },
  test: {
    environment: "node",
    include: ["src/**/*.test.ts"],
  },
});
