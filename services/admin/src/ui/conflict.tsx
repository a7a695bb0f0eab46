// Somebody else saved first: what they changed, what you changed, and which of it is to hold.
import { useState } from 'preact/hooks';
import { type Clash, threeWay } from '../lib/diff';
import { type Form, type Values, ofRow, same } from '../lib/form';
import { t } from '../lib/i18n';
import { fieldLabel } from '../lib/labels';
import { field } from '../lib/schema';
import { Dialog } from './dialog';
import { Value, Words } from './diff';
import { Button, Time } from './parts';

const long_chars = 80; // from there on it is told what changed, not only what it is
/** One side's value; of long texts, what that side did to the one of before. */
function Side({ of, clash, value }: { of: string; clash: Clash; value: unknown }) {
  const long = typeof value === 'string' && typeof clash.base === 'string' && Math.max(value.length, clash.base.length) > long_chars;
  return long ? <Words from={clash.base as string} to={value} /> : <Value field={field(clash.name, of)} value={value} />;
}
function Both({ of, clash, side, choose }: { of: string; clash: Clash; side: string; choose: (s: 'mine' | 'theirs') => void }) {
  const f = field(clash.name, of);
  return (
    <fieldset>
      <legend class="label">{fieldLabel(of, clash.name)}</legend>
      <div class="choice">
        <label>
          <span class="row"><input type="radio" name={`clash-${clash.name}`} checked={side === 'mine'} onChange={() => choose('mine')} /> <b>{t('conflict.mine')}</b></span>
          <Side of={of} clash={clash} value={clash.mine} />
        </label>
        <label>
          <span class="row"><input type="radio" name={`clash-${clash.name}`} checked={side === 'theirs'} onChange={() => choose('theirs')} /> <b>{t('conflict.theirs')}</b></span>
          <Side of={of} clash={clash} value={clash.theirs} />
        </label>
        <div>
          <span class="quiet">{t('conflict.base')}</span>
          <Value field={f} value={clash.base} />
        </div>
      </div>
    </fieldset>
  );
}

/** `theirs`: the row as it is now.  onMerged gets it and what the form is to hold. */
export function Conflict({ form, theirs, onMerged, onClose }: { form: Form; theirs: Values; onMerged: (theirs: Values, values: Values) => void; onClose: () => void }) {
  const now = ofRow(form.of, theirs);
  const clashes = threeWay(Object.keys(now), form.base, form.values, now, same);
  const both = clashes.filter((c) => c.kind === 'both');
  const [sides, setSides] = useState<Record<string, 'mine' | 'theirs'>>({});
  const named = (kind: Clash['kind']): string => clashes.filter((c) => c.kind === kind).map((c) => fieldLabel(form.of, c.name)).join(', ');
  const open = both.filter((c) => !sides[c.name]).length;
  return (
    <Dialog title={t('conflict.title')} wide onClose={onClose}>
      <p>{t('conflict.about')} <Time at={String(theirs['updated_at'] ?? '')} /></p>
      {named('theirs') && <p><b>{t('conflict.only_theirs')}</b> {named('theirs')}</p>}
      {named('mine') && <p><b>{t('conflict.only_mine')}</b> {named('mine')}</p>}
      {both.length > 0 && <p><b>{t('conflict.both')}</b></p>}
      {both.map((c) => (
        <Both key={c.name} of={form.of} clash={c} side={sides[c.name] ?? ''} choose={(s) => setSides((all) => ({ ...all, [c.name]: s }))} />
      ))}
      <div class="ends">
        <Button onClick={onClose}>{t('conflict.back')}</Button>
        <Button onClick={() => onMerged(theirs, now)}>{t('conflict.discard')}</Button>
        <Button kind="primary" disabled={open > 0} onClick={() => {
          const merged = { ...now };
          for (const c of clashes) if (c.kind === 'mine' || (c.kind === 'both' && sides[c.name] === 'mine')) merged[c.name] = c.mine;
          onMerged(theirs, merged);
        }}>
          {open > 0 ? t('conflict.open', { n: open }) : t('conflict.merge')}
        </Button>
      </div>
    </Dialog>
  );
}
