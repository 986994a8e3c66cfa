use crate::token::Token;

fn edited(mut token: Token) -> Token {
    token.compact.clear(); //~ E0616
    token
}
