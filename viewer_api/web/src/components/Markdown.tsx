import type { ReactNode } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import styles from "./Markdown.module.css";

/** More than that is shown as it is: taking it apart would hold up the page. */
const MOST = 50_000;

/**
 * What a model wrote. It is written by strangers: HTML stays visible as it is, nothing is loaded from elsewhere, and a link is
 * its text with its address beside it, so that no one follows it by mistake.
 */
export default function Markdown({ text }: { readonly text: string }) {
  if (text.length > MOST) return <p className={styles["plain"]}>{text}</p>;
  return (
    <div className={styles["text"]}>
      <ReactMarkdown components={COMPONENTS} urlTransform={(url) => url}>
        {text}
      </ReactMarkdown>
    </div>
  );
}

/** Headings of a message are none of the page. */
const Heading = ({ children }: { readonly children?: ReactNode }) => <p className={styles["heading"]}>{children}</p>;

const COMPONENTS: Components = {
  a: ({ href, children }) => <Named address={href}>{children}</Named>,
  img: ({ src, alt }) => <Named address={typeof src === "string" ? src : undefined}>{alt === undefined || alt === "" ? "image" : alt}</Named>,
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
  h1: Heading,
  h2: Heading,
  h3: Heading,
  h4: Heading,
  h5: Heading,
  h6: Heading,
};

function Named({ address, children }: { readonly address: string | undefined; readonly children: ReactNode }) {
  return (
    <span>
      {children} {address !== undefined && <span className={styles["address"]}>({address})</span>}
    </span>
  );
}
