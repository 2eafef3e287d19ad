import type { ReactNode } from "react";
import ReactMarkdown, { type Components } from "react-markdown";

/**
 * What a model wrote. It is written by strangers: no HTML, nothing is loaded from elsewhere, and a link is shown as its text
 * with its address beside it, so that nobody follows one by mistake.
 */
export function Markdown({ text }: { readonly text: string }) {
  return (
    <ReactMarkdown components={COMPONENTS} skipHtml={false} urlTransform={(url) => url}>
      {text}
    </ReactMarkdown>
  );
}

const COMPONENTS: Components = {
  a: ({ href, children }) => <Named address={href}>{children}</Named>,
  img: ({ src, alt }) => <Named address={typeof src === "string" ? src : undefined}>{alt === "" || alt === undefined ? "image" : alt}</Named>,
  h1: ({ children }) => <p><strong>{children}</strong></p>,
  h2: ({ children }) => <p><strong>{children}</strong></p>,
  h3: ({ children }) => <p><strong>{children}</strong></p>,
  h4: ({ children }) => <p><strong>{children}</strong></p>,
  h5: ({ children }) => <p><strong>{children}</strong></p>,
  h6: ({ children }) => <p><strong>{children}</strong></p>,
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
};

function Named({ address, children }: { readonly address: string | undefined; readonly children: ReactNode }) {
  return (
    <span>
      {children} {address !== undefined && <span className="quiet">({address})</span>}
    </span>
  );
}
