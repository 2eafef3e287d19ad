import ReactMarkdown, { type Components } from "react-markdown";
import styles from "./Markdown.module.css";

/** Whatever a model writes is text: links lead nowhere, images are their descriptions, HTML stays visible as it is. */
const COMPONENTS: Components = {
  a: ({ children, href }) => (
    <span className={styles["link"]} title={href}>
      {children}
    </span>
  ),
  img: ({ alt }) => <span className="quiet">[image{alt === undefined || alt === "" ? "" : `: ${alt}`}]</span>,
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
  // Headings of a message are none of the page.
  h1: ({ children }) => <p className={styles["heading"]}>{children}</p>,
  h2: ({ children }) => <p className={styles["heading"]}>{children}</p>,
  h3: ({ children }) => <p className={styles["heading"]}>{children}</p>,
  h4: ({ children }) => <p className={styles["heading"]}>{children}</p>,
  h5: ({ children }) => <p className={styles["heading"]}>{children}</p>,
  h6: ({ children }) => <p className={styles["heading"]}>{children}</p>,
};

/** More than that is shown as it is: taking it apart would hold up the page. */
const MOST = 50_000;

export default function Markdown({ text }: { readonly text: string }) {
  if (text === "") return <p className="quiet">(nothing was recorded)</p>;
  if (text.length > MOST) return <p className={styles["plain"]}>{text}</p>;
  return (
    <div className={styles["text"]}>
      <ReactMarkdown components={COMPONENTS}>{text}</ReactMarkdown>
    </div>
  );
}
