/** What stands there before the first question to a domain: what it offers, at which price, and how to come in. */
import type { Domain, Offer } from '../api/domain.ts';
import { domain } from '../chat/domain.ts';
import { askForKey, tokenMissing } from '../chat/session.ts';
import { dollars } from './amounts.ts';
import { shortDigest } from './names.ts';

export function DomainWelcome() {
  const here = domain.value;
  return (
    <div class="scroller">
      <section class="welcome column" aria-labelledby="welcome">
        <h2 id="welcome">What would you like to know?</h2>
        <p class="lead">
          {here?.name ? <b>{here.name}</b> : 'This domain'} sends your question to one of its nodes. Conversations stay in this browser.
        </p>
        {tokenMissing.value && <ComeIn />}
        {here !== null && here.offers.length > 0 && <Prices domain={here} />}
      </section>
    </div>
  );
}

function ComeIn() {
  return (
    <div class="come-in">
      <p>
        Answers are paid for. With the <code>gaia</code> command, <code>gaia deposit {location.origin} 5</code> and then{' '}
        <code>gaia token new {location.origin}</code> give you an access token.
      </p>
      <button type="button" class="filled" onClick={() => askForKey()}>
        Enter an access token
      </button>
    </div>
  );
}

function Prices({ domain }: { domain: Domain }) {
  return (
    <table class="prices">
      <caption>Dollars for a million tokens</caption>
      <thead>
        <tr>
          <th scope="col">Model</th>
          <th scope="col">Read</th>
          <th scope="col">Written</th>
        </tr>
      </thead>
      <tbody>
        {domain.offers.map((offer) => (
          <Row key={offer.name} offer={offer} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ offer }: { offer: Offer }) {
  return (
    <tr>
      <th scope="row">
        {offer.name}
        {!offer.isServed && <small> no node at the moment</small>}
        {offer.knowledge.length > 0 && <small> knows {offer.knowledge.map(shortDigest).join(', ')}</small>}
      </th>
      <td>{dollars(offer.input)}</td>
      <td>{dollars(offer.output)}</td>
    </tr>
  );
}
