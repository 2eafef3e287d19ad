import { Columns3 } from "lucide-react";
import { Checkbox } from "../../ui/Field";
import { IconButton } from "../../ui/Button";
import { Dropdown } from "../../ui/Overlay";
import { COLUMNS, isFixed } from "./columns";

interface Props {
  readonly shown: ReadonlySet<string>;
  readonly onChoose: (id: string, shown: boolean) => void;
}

export function ColumnsMenu({ shown, onChoose }: Props) {
  return (
    <Dropdown label="Columns" trigger={<IconButton icon={Columns3} label="Columns" look="usual" testId="columns" />}>
      {COLUMNS.filter((column) => !isFixed(column)).map(({ id, title }) => (
        <Checkbox key={id} checked={shown.has(id)} onChange={(now) => onChoose(id, now)} testId={`column-${id}`}>
          {title}
        </Checkbox>
      ))}
    </Dropdown>
  );
}
