import { Command, HelpCircle, LogOut, Menu as MenuIcon, Moon, Sun, SunMoon } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { ConnectionBadge } from "../components/ConnectionBadge";
import { Link } from "../navigation/Link";
import { to } from "../navigation/route";
import { useNavigation } from "../navigation/useNavigation";
import { Button, IconButton } from "../ui/Button";
import { Empty, Loading } from "../ui/Notice";
import { Menu } from "../ui/Overlay";
import { EMBEDDED } from "./embed";
import { PageBoundary } from "./PageBoundary";
import { menuOf, pageOf, routeTo } from "./pages";
import { useSignedIn } from "./session";
import { keyNames } from "./keyNames";
import { useShortcutKeys, useShortcuts } from "./shortcuts";
import { useTheme, type Theme } from "./theme";
import styles from "./Shell.module.css";

// Loaded when they are first wanted.
const CommandPalette = lazy(() => import("./CommandPalette"));
const Toasts = lazy(() => import("../ui/Toasts"));
const ShortcutSheet = lazy(() => import("./ShortcutSheet"));

const THEMES: readonly { readonly id: Theme; readonly text: string }[] = [
  { id: "system", text: "Follow the system" },
  { id: "light", text: "Light" },
  { id: "dark", text: "Dark" },
];
const THEME_ICONS = { system: SunMoon, light: Sun, dark: Moon } as const;

/** What is around every page: the menu, the connection, who is signed in, the palette and the keys. */
export function Shell({ onLeave }: { readonly onLeave: () => void }) {
  const session = useSignedIn();
  const { route, go } = useNavigation();
  const [theme, setTheme] = useTheme();
  const [palette, setPalette] = useState(false);
  const [sheet, setSheet] = useState(false);
  const [menu, setMenu] = useState(false);
  const pages = menuOf(session);
  useShortcutKeys();
  useShortcuts([
    { keys: "mod+k", text: "Go to a page, person or flow", group: "Anywhere", run: () => setPalette(true) },
    { keys: "?", text: "Show the keyboard shortcuts", group: "Anywhere", run: () => setSheet(true) },
    ...pages.flatMap((page) =>
      page.letter === null
        ? []
        : [{ keys: `g ${page.letter}`, text: `Go to ${page.title}`, group: "Anywhere", run: () => go(routeTo(page)) }],
    ),
  ]);
  const shown = pageOf(route);
  const View = shown?.view;
  const current = route.page === "flow" || route.page === "playback" ? "flows" : route.page;
  return (
    <div className={styles["shell"]} data-embedded={EMBEDDED}>
      <a
        className="skip"
        href="#main"
        onClick={(event) => {
          // The part behind `#` is the page's view.
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to the content
      </a>
      {!EMBEDDED && (
        <header className={styles["bar"]}>
          <span className={styles["toggle"]}>
            <IconButton icon={MenuIcon} label="Menu" aria-expanded={menu} onPress={() => setMenu(!menu)} />
          </span>
          <span className={styles["brand"]}>Spanflow</span>
          <Button look="usual" icon={Command} onPress={() => setPalette(true)}>
            <span className={styles["wide"]}>Go to…</span>
            <kbd className={styles["wide"]}>{keyNames("mod+k")[0]}</kbd>
            <span className="visually-hidden">Go to a page, person or flow</span>
          </Button>
          <ConnectionBadge />
          <span className={styles["end"]}>
            <Menu label="Theme" entries={THEMES.map(({ id, text }) => ({ id, text, onAction: () => setTheme(id) }))}>
              <IconButton icon={THEME_ICONS[theme]} label="Theme" />
            </Menu>
            <IconButton icon={HelpCircle} label="Keyboard shortcuts" keys="?" onPress={() => setSheet(true)} />
            <span className={`${styles["who"]} truncate`} title={session.name}>
              {session.name}
            </span>
            <IconButton icon={LogOut} label="Sign out" testId="sign-out" onPress={onLeave} />
          </span>
        </header>
      )}
      {!EMBEDDED && (
        <nav className={styles["menu"]} aria-label="Pages" data-open={menu}>
          {pages.map((page) => {
            const Icon = page.icon;
            return (
              <Link key={page.name} to={routeTo(page)} current={page.name === current} className={styles["entry"] ?? ""}>
                {Icon !== null && <Icon size={17} aria-hidden="true" />}
                <span>{page.title}</span>
              </Link>
            );
          })}
        </nav>
      )}
      <main id="main" tabIndex={-1} className={styles["main"]} key={route.page}>
        {View === undefined ? (
          <Empty title="There is no such page">
            <p>
              The address names the page “{route.page}”. <Link to={to("flows")}>Go to the flows</Link>
            </p>
          </Empty>
        ) : (
          <PageBoundary>
            <Suspense fallback={<Loading label="The page is loading" />}>
              <View />
            </Suspense>
          </PageBoundary>
        )}
      </main>
      <PageBoundary instead={null}>
        <Suspense fallback={null}>
          {palette && <CommandPalette open onClose={() => setPalette(false)} />}
          {sheet && <ShortcutSheet open onClose={() => setSheet(false)} />}
          <Toasts />
        </Suspense>
      </PageBoundary>
    </div>
  );
}
