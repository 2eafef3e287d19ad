import { dateTime } from "../../format";
import { Fact, HeadLayout, type FlowHeadProps } from "../flow/HeadLayout";
import styles from "./SharedPage.module.css";

interface Props extends FlowHeadProps {
  readonly expiresAt: string;
}

/** The head of a shared flow, and how long it is shown. */
export function SharedHead({ expiresAt, ...head }: Props) {
  return (
    <HeadLayout
      {...head}
      actions={<span className={styles["brand"]}>Spanflow</span>}
      began={dateTime}
      after={
        <Fact name="Shared until" testId="shared-until">
          {dateTime(expiresAt)}
        </Fact>
      }
    />
  );
}
