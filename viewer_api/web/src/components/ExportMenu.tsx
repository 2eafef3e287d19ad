import { Download } from "lucide-react";
import type { Format } from "../api/export";
import { Button, IconButton } from "../ui/Button";
import { Menu } from "../ui/Overlay";

interface Props {
  readonly label: string;
  readonly formats: readonly Format[];
  readonly urlOf: (format: string) => URL;
  /** Whether the button says what it does; otherwise it shows its sign only. */
  readonly words?: boolean;
}

/** Saves what the page shows as a file. The viewer sends it as an attachment, so the page stays. */
export function ExportMenu({ label, formats, urlOf, words = false }: Props) {
  return (
    <Menu label={label} entries={formats.map(({ id, text, hint }) => ({ id, text, hint, onAction: () => save(urlOf(id)) }))}>
      {words ? (
        <Button icon={Download} testId="export">
          Export
        </Button>
      ) : (
        <IconButton icon={Download} label={label} testId="export" />
      )}
    </Menu>
  );
}

function save(url: URL): void {
  const link = document.createElement("a");
  link.href = url.href;
  // Without the attribute an answer that is no attachment would replace the page.
  link.download = "";
  link.click();
}
